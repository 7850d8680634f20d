/// An absolute `http` or `https` URL, read so strictly that no other parser can find another host in it.
public struct OutboundURL: Sendable, Hashable, CustomStringConvertible {
    public let isTLS: Bool
    public let host: OutboundHost
    /// 1 to 65,535.
    public let port: Int
    /// Path and query as they go on the wire; begins with `/`.
    public let target: String

    public init(_ text: String) throws(OutboundURLError) {
        guard text.utf8.count <= Limits.maxOutboundURLBytes else {
            throw OutboundURLError("is longer than \(Limits.maxOutboundURLBytes) bytes")
        }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\\") }) else {
            throw OutboundURLError("has a space, a backslash or a control character; encode it")
        }
        let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) ?? text.endIndex
        switch text[..<colon].lowercased() {
        case "https": isTLS = true
        case "http": isTLS = false
        default: throw OutboundURLError("must begin with https:// or http://")
        }
        let afterScheme = text[colon...]
        guard afterScheme.hasPrefix("://") else { throw OutboundURLError("must begin with https:// or http://") }
        let rest = afterScheme.dropFirst(3)
        let end = rest.utf8.firstIndex { "/?#".utf8.contains($0) } ?? rest.endIndex
        (host, port) = try Self.authority(rest[..<end], defaultPort: isTLS ? 443 : 80)
        target = try Self.requestTarget(rest[end...])
    }

    private init(isTLS: Bool, host: OutboundHost, port: Int, target: String) {
        self.isTLS = isTLS
        self.host = host
        self.port = port
        self.target = target
    }

    /// As in `Host` (RFC 9110 §7.2): the port only where it is not the scheme's.
    public var authority: String { port == (isTLS ? 443 : 80) ? "\(host)" : "\(host):\(port)" }

    /// Scheme, host and port: what decides whether two URLs are of one origin (RFC 6454).
    public var origin: String { "\(isTLS ? "https" : "http")://\(authority)" }

    public var description: String { origin + target }

    /// What a `Location` means when it came from here (RFC 3986 §5.2).
    public func resolving(_ reference: String) throws(OutboundURLError) -> OutboundURL {
        guard reference.utf8.count <= Limits.maxOutboundURLBytes else {
            throw OutboundURLError("is longer than \(Limits.maxOutboundURLBytes) bytes")
        }
        guard reference.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\\") }) else {
            throw OutboundURLError("has a space, a backslash or a control character")
        }
        if reference.hasPrefix("//") { return try OutboundURL((isTLS ? "https:" : "http:") + reference) }
        let head = reference.utf8.prefix { !"/?#".utf8.contains($0) }
        if head.contains(UInt8(ascii: ":")) { return try OutboundURL(reference) }
        let path = target[..<(target.firstIndex(of: "?") ?? target.endIndex)]
        let merged: String
        switch reference.utf8.first {
        case nil, UInt8(ascii: "#"): return self
        case UInt8(ascii: "/"): merged = String(reference)
        case UInt8(ascii: "?"): return OutboundURL(isTLS: isTLS, host: host, port: port, target: try Self.requestTarget(path + reference))
        default: merged = String(path[...(path.lastIndex(of: "/") ?? path.startIndex)]) + reference
        }
        return OutboundURL(isTLS: isTLS, host: host, port: port, target: try Self.requestTarget(Self.removingDotSegments(merged)))
    }

    private static func authority(
        _ text: Substring, defaultPort: Int
    ) throws(OutboundURLError) -> (OutboundHost, Int) {
        guard !text.contains("@") else { throw OutboundURLError("must not hold a user or password") }
        let isBracketed = text.hasPrefix("[")
        let hostEnd =
            isBracketed
            ? text.firstIndex(of: "]").map { text.index(after: $0) } ?? text.endIndex : text.firstIndex(of: ":") ?? text.endIndex
        let host = try OutboundHost(String(text[..<hostEnd]))
        let rest = text[hostEnd...]
        guard !rest.isEmpty else { return (host, defaultPort) }
        guard rest.first == ":", let port = Self.port(rest.dropFirst()) else {
            throw OutboundURLError("has a port that is not a number from 1 to 65535")
        }
        return (host, port)
    }

    static func port(_ text: some StringProtocol) -> Int? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }), let port = Int(text),
            (1...65_535).contains(port)
        else { return nil }
        return port
    }

    /// Path and query without the fragment; what is not ASCII goes percent-encoded.
    private static func requestTarget(_ text: some StringProtocol) throws(OutboundURLError) -> String {
        let end = text.firstIndex(of: "#") ?? text.endIndex
        var bytes: [UInt8] = text.utf8.first == UInt8(ascii: "/") ? [] : [UInt8(ascii: "/")]
        for byte in text[..<end].utf8 {
            if byte < 0x80 {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), hexDigits[Int(byte >> 4)], hexDigits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static let hexDigits = Array("0123456789ABCDEF".utf8)

    /// RFC 3986 §5.2.4, over the path alone.
    private static func removingDotSegments(_ reference: String) -> String {
        let end = reference.firstIndex { $0 == "?" || $0 == "#" } ?? reference.endIndex
        var kept: [Substring] = []
        let segments = reference[..<end].split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        for (index, segment) in segments.enumerated() {
            let isLast = index == segments.count - 1
            switch segment {
            case ".": if isLast { kept.append("") }
            case "..":
                if !kept.isEmpty { kept.removeLast() }
                if isLast { kept.append("") }
            default: kept.append(segment)
            }
        }
        return "/" + kept.joined(separator: "/") + reference[end...]
    }
}
