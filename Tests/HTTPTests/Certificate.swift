import Foundation
import GatewayHTTP
import NIOSSL
import TestServers
import Testing

/// A certificate for localhost by an authority of its own, and the files a gateway reads it from.
struct Certificate {
    let files: TLSFiles

    private let authority: String

    static func make() throws -> Certificate {
        let made = try TestCertificates()
        return Certificate(files: TLSFiles(certificate: made.certificate, key: made.key), authority: made.authority)
    }

    /// A client's side that trusts this certificate and no other.
    func trust() throws -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(authority))
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
