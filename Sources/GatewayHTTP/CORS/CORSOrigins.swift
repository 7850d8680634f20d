import Domain

/// The web origins whose pages may read this API's answers (Fetch §3.2). Credentials of the browser (cookies, client certificates) are
/// never allowed: keys travel in `Authorization`, which a page must have been given.
public enum CORSOrigins: Sendable, Equatable {
    case none
    case any
    /// As browsers send them: `https://app.example.org`, `http://localhost:5173`.
    case list(Set<String>)

    public struct Invalid: Error, CustomStringConvertible {
        public let description: String
    }

    /// `*`, or origins separated by commas.
    public init(parsing text: String) throws(Invalid) {
        let parts = text.split(separator: ",").map { $0.drop { $0 == " " } }.map { part in
            String(part.reversed().drop { $0 == " " }.reversed())
        }
        if parts == ["*"] {
            self = .any
            return
        }
        guard !parts.isEmpty, parts.count <= Limits.maxCORSOrigins else {
            throw Invalid(description: "must be * or 1 to \(Limits.maxCORSOrigins) origins, separated by commas")
        }
        for part in parts where !Self.isOrigin(part) {
            throw Invalid(
                description: "has \(part), which is no origin; one looks like https://app.example.org, without a path and in lower case")
        }
        self = .list(Set(parts))
    }

    func allows(_ origin: String) -> Bool {
        switch self {
        case .none: false
        case .any: true
        case .list(let origins): origins.contains(origin)
        }
    }

    /// RFC 6454 §6.2, without `null`: sandboxed pages of anybody have that.
    static func isOrigin(_ text: String) -> Bool {
        guard let scheme = ["https://", "http://"].first(where: text.hasPrefix) else { return false }
        let rest = text.dropFirst(scheme.count)
        let bracket = rest.hasPrefix("[") ? rest.firstIndex(of: "]") : rest.startIndex
        guard let bracket else { return false }
        let host = rest[..<(rest[bracket...].firstIndex(of: ":") ?? rest.endIndex)]
        let port = rest[host.endIndex...].dropFirst()
        let isHost =
            !host.isEmpty
            && host.utf8.allSatisfy { byte in
                (97...122).contains(byte) || (48...57).contains(byte) || "-._[:]".utf8.contains(byte)
            }
        let hasPort = host.endIndex < rest.endIndex
        return isHost && (!hasPort || (1...5).contains(port.utf8.count) && (UInt16(port).map { $0 > 0 } ?? false))
    }
}
