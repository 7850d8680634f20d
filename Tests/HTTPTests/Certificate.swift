import Foundation
import GatewayHTTP
import NIOSSL
import Testing

/// A self-made certificate for localhost, and the files a gateway reads it from.
struct Certificate {
    let files: TLSFiles

    /// In a folder of its own, made by the system's openssl.
    static func make(_ name: String = "localhost") throws -> Certificate {
        let folder = FileManager.default.temporaryDirectory.appending(path: "hsafa-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let files = TLSFiles(certificate: folder.path + "/cert.pem", key: folder.path + "/key.pem")
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
            "/CN=\(name)", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", files.key, "-out", files.certificate,
        ]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "openssl req failed")
        return Certificate(files: files)
    }

    /// A client's side that trusts this certificate and no other.
    func trust() throws -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(files.certificate))
        return configuration
    }

    /// Puts this pair in the place of another's files, as `mv` does.
    func replace(_ other: TLSFiles, withKey: Bool = true) throws {
        for (source, target) in [(files.certificate, other.certificate), (files.key, other.key)] where withKey || source != files.key {
            let staged = target + ".new"
            try Data(contentsOf: URL(filePath: source)).write(to: URL(filePath: staged))
            try #require(rename(staged, target) == 0)
        }
    }
}
