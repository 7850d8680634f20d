/// Names of a tenant's secrets, as `${secret.NAME}` holds them: 1 to 64 letters, digits and `_`, beginning with a letter.
public enum SecretName {
    public static func isValid(_ name: some StringProtocol) -> Bool {
        guard (1...Limits.maxNameBytes).contains(name.utf8.count), let first = name.utf8.first, !(48...57).contains(first), first != 95
        else {
            return false
        }
        return name.utf8.allSatisfy { Names.isAlphanumeric($0) || $0 == UInt8(ascii: "_") }
    }

    public static let rule = "must be 1 to \(Limits.maxNameBytes) letters, digits and _, beginning with a letter"
}

/// A secret as it is used: its value, and where that may go.
public struct Secret: Sendable {
    public let name: String
    public let value: String
    public let hosts: [HostPattern]

    public init(name: String, value: String, hosts: [HostPattern]) {
        self.name = name
        self.value = value
        self.hosts = hosts
    }

    public func mayGo(to url: OutboundURL) -> Bool { hosts.contains { $0.covers(url.host, port: url.port) } }
}
