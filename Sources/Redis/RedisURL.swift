/// The parts of a Redis URL (RFC 3986 with the schemes `redis`, `rediss` and `unix`). Errors name the part, never a password.
struct RedisURL {
    var endpoint: RedisConfiguration.Endpoint
    var usesTLS = false
    var username: String?
    var password: String?
    var database = 0

    init(_ url: String) throws(RedisError) {
        guard let schemeEnd = url.firstRange(of: "://") else {
            throw Self.invalid("must begin with redis://, rediss:// or unix://")
        }
        let scheme = url[..<schemeEnd.lowerBound].lowercased()
        guard ["redis", "rediss", "unix"].contains(scheme) else {
            throw Self.invalid("the scheme must be redis, rediss or unix")
        }
        var rest = url[schemeEnd.upperBound...]
        if rest.contains("#") { throw Self.invalid("'#' must be written as %23") }
        var query: Substring?
        if let mark = rest.firstIndex(of: "?") {
            query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        let authorityEnd = rest.firstIndex(of: "/") ?? rest.endIndex
        var authority = rest[..<authorityEnd]
        let path = rest[authorityEnd...]
        endpoint = .unixSocket("")
        if let at = authority.lastIndex(of: "@") {
            try readCredentials(authority[..<at])
            authority = authority[authority.index(after: at)...]
        }
        if scheme == "unix" {
            guard authority.isEmpty else { throw Self.invalid("a unix socket needs an absolute path: unix:///path/to/socket") }
            guard path.count > 1 else { throw Self.invalid("the path of the unix socket is missing") }
            let socket = try Self.decoded(path, "path")
            guard socket.utf8.count <= 107 else { throw Self.invalid("the path of the unix socket is longer than 107 bytes") }
            endpoint = .unixSocket(socket)
        } else {
            usesTLS = scheme == "rediss"
            endpoint = try Self.hostAndPort(authority)
            if path.count > 1 { database = try Self.databaseNumber(path.dropFirst()) }
        }
        if let query { try readQuery(query) }
    }

    private mutating func readCredentials(_ text: Substring) throws(RedisError) {
        guard let colon = text.firstIndex(of: ":") else {
            throw Self.invalid("a user without a password; write user:password@ or :password@")
        }
        let user = try Self.decoded(text[..<colon], "user")
        let secret = try Self.decoded(text[text.index(after: colon)...], "password")
        guard !secret.isEmpty else { throw Self.invalid("the password is empty") }
        username = user.isEmpty ? nil : user
        password = secret
    }

    private mutating func readQuery(_ query: Substring) throws(RedisError) {
        for item in query.split(separator: "&", omittingEmptySubsequences: true) {
            guard item.hasPrefix("db=") else { throw Self.invalid("the only query parameter known is db") }
            database = try Self.databaseNumber(item.dropFirst(3))
        }
    }

    private static func hostAndPort(_ authority: Substring) throws(RedisError) -> RedisConfiguration.Endpoint {
        var host = authority
        var port: Substring?
        if authority.first == "[" {
            guard let bracket = authority.firstIndex(of: "]") else { throw invalid("the ']' of the IPv6 address is missing") }
            host = authority[authority.index(after: authority.startIndex)..<bracket]
            let after = authority[authority.index(after: bracket)...]
            guard after.isEmpty || after.first == ":" else { throw invalid("a port must follow the ']' of the IPv6 address") }
            port = after.isEmpty ? nil : after.dropFirst()
        } else if let colon = authority.firstIndex(of: ":") {
            host = authority[..<colon]
            port = authority[authority.index(after: colon)...]
        }
        guard !host.isEmpty else { throw invalid("the host is missing") }
        guard let port else { return .host(String(host), port: 6379) }
        guard let number = Int(port), (1...65_535).contains(number) else { throw invalid("the port must be a number from 1 to 65535") }
        return .host(String(host), port: number)
    }

    private static func databaseNumber(_ text: Substring) throws(RedisError) -> Int {
        guard let number = Int(text), number >= 0, number <= 1_000_000 else {
            throw invalid("the database must be a number, 0 or more")
        }
        return number
    }

    private static func decoded(_ text: Substring, _ part: String) throws(RedisError) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit) else {
                throw invalid("the \(part) has a '%' that two hex digits do not follow")
            }
            bytes.append(high << 4 | low)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else { throw invalid("the \(part) is not UTF-8") }
        return decoded
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        UInt8(String(UnicodeScalar(byte)), radix: 16)
    }

    private static func invalid(_ what: String) -> RedisError {
        RedisError(code: .configuration, message: "Redis URL: \(what)")
    }
}
