/// As much of RFC 3986 as identifiers of schemas need: resolving a reference against a base (§5.2).
struct SchemaURI: Sendable, Hashable {
    private var scheme: Substring = ""
    private var authority: Substring?
    private var path: Substring = ""
    private var query: Substring?
    private(set) var fragment: String?

    init(_ text: String) {
        var rest = text[...]
        if let hash = rest.firstIndex(of: "#") {
            fragment = Self.percentDecoded(rest[rest.index(after: hash)...])
            rest = rest[..<hash]
        }
        if let mark = rest.firstIndex(of: "?") {
            query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        if let colon = rest.firstIndex(of: ":"), !rest[..<colon].contains("/"), rest.first?.isLetter == true {
            scheme = rest[..<colon]
            rest = rest[rest.index(after: colon)...]
        }
        if rest.hasPrefix("//") {
            rest = rest.dropFirst(2)
            authority = rest.prefix { $0 != "/" }
            rest = rest.drop { $0 != "/" }
        }
        path = rest
    }

    /// Without its fragment: what identifies a resource.
    var resource: SchemaURI {
        var uri = self
        uri.fragment = nil
        return uri
    }

    func resolving(_ reference: String) -> SchemaURI {
        var target = SchemaURI(reference)
        if !target.scheme.isEmpty { return target }
        target.scheme = scheme
        if target.authority != nil { return target }
        target.authority = authority
        if target.path.isEmpty {
            target.path = path
            if target.query == nil { target.query = query }
        } else if !target.path.hasPrefix("/") {
            let folder = path.lastIndex(of: "/").map { path[...$0] } ?? (authority == nil ? "" : "/")
            target.path = Self.withoutDots(folder + target.path)
        } else {
            target.path = Self.withoutDots(target.path)
        }
        return target
    }

    /// RFC 3986 §5.2.4.
    private static func withoutDots(_ path: Substring) -> Substring {
        var kept: [Substring] = []
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            let isLast = index == parts.count - 1
            if part == "." || part == ".." {
                if part == "..", kept.count > 1 { kept.removeLast() }
                if isLast { kept.append("") }
            } else {
                kept.append(part)
            }
        }
        return Substring(kept.joined(separator: "/"))
    }

    static func percentDecoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
