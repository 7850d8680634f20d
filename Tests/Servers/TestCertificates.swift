import Foundation

/// A self-signed authority and a certificate for `localhost` and 127.0.0.1, made by the openssl command.
public struct TestCertificates: Sendable {
    public let authority: String
    public let certificate: String
    public let key: String

    public init(names: String = "DNS:localhost,IP:127.0.0.1") throws {
        let folder = try temporaryFolder()
        authority = "\(folder)/ca.pem"
        certificate = "\(folder)/server.pem"
        key = "\(folder)/server.key"
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        try Self.openssl(["req", "-x509", "-subj", "/CN=test authority", "-keyout", "\(folder)/ca.key", "-out", authority] + curve)
        try Self.openssl(
            [
                "req", "-x509", "-subj", "/CN=test server", "-addext", "subjectAltName=\(names)", "-CA", authority, "-CAkey",
                "\(folder)/ca.key",
            ]
                + ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate] + curve)
    }

    private static func openssl(_ arguments: [String]) throws {
        let (status, _, error) = try ChildProcess.run(["openssl"] + arguments)
        guard status == 0 else { throw ServerFailure(description: "openssl \(arguments) failed: \(error)") }
    }
}
