/// The address of a vendor's operation: a base URL of a config joined with the operation's path.
///
/// The base may end in `/`, may carry a query (kept) and may already end in the operation's path. User information, fragments,
/// characters outside visible ASCII and schemes other than http and https are refused.
struct ModelEndpoint: Equatable {
    let url: String
    /// Host and port as written, for messages and logs.
    let authority: String

    static let maxBytes = 2_048

    init(base: String, path: String) throws(ModelError) {
        guard base.utf8.count <= Self.maxBytes else { throw Self.refusal("is longer than \(Self.maxBytes) bytes") }
        guard base.utf8.allSatisfy({ (0x21...0x7E).contains($0) && !Self.forbidden.contains($0) }) else {
            throw Self.refusal("contains characters that a URL cannot have")
        }
        guard let separator = base.utf8.firstIndex(of: UInt8(ascii: ":")), base[separator...].hasPrefix("://") else {
            throw Self.refusal("must begin with https:// or http://")
        }
        let scheme = base[..<separator].lowercased()
        guard scheme == "https" || scheme == "http" else { throw Self.refusal("must begin with https:// or http://") }
        let rest = base[base.index(separator, offsetBy: 3)...]
        let authorityEnd = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        authority = String(rest[..<authorityEnd])
        guard !authority.isEmpty, !authority.hasPrefix(":") else { throw Self.refusal("names no host") }
        guard !authority.contains("@") else { throw Self.refusal("must not contain a user name or password; use model.apiKey") }

        let queryStart = rest.firstIndex(of: "?") ?? rest.endIndex
        var basePath = rest[authorityEnd..<queryStart]
        while basePath.hasSuffix("/") { basePath.removeLast() }
        let joined = basePath.hasSuffix(path) ? String(basePath) : String(basePath) + path
        url = "\(scheme)://\(authority)\(joined)\(rest[queryStart...])"
    }

    /// `#` would hide what follows it from the server; the others are outside RFC 3986.
    private static let forbidden = Set("#\\\"<>^`{|}".utf8)

    private static func refusal(_ reason: String) -> ModelError {
        ModelError(code: .badRequest, publicMessage: "model.baseURL \(reason).")
    }
}
