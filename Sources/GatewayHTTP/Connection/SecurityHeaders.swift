import NIOCore
import NIOHTTP1

/// What every answer carries, whoever makes it. Added where answers leave, so that none goes without.
struct SecurityHeaders: Sendable {
    /// Only where this process itself speaks TLS (RFC 6797 §7.2); behind a proxy it is the proxy's to send.
    let isTLS: Bool

    /// An API's answers are no documents: nothing is loaded by them, and nobody frames them. An answer that is one brings its own policy.
    private static let contentPolicy = "default-src 'none'; frame-ancestors 'none'"
    private static let strictTransport = "max-age=31536000"

    func add(to headers: inout HTTPHeaders) {
        headers.add(name: "x-content-type-options", value: "nosniff")
        headers.add(name: "referrer-policy", value: "no-referrer")
        if !headers.contains(name: "content-security-policy") {
            headers.add(name: "content-security-policy", value: Self.contentPolicy)
        }
        if isTLS { headers.add(name: "strict-transport-security", value: Self.strictTransport) }
    }

    /// The same as lines of a head.
    func write(hasPolicy: Bool, into bytes: inout ByteBuffer) {
        bytes.writeImmutableBuffer(Self.always)
        if !hasPolicy { bytes.writeImmutableBuffer(Self.policy) }
        if isTLS { bytes.writeImmutableBuffer(Self.transport) }
    }

    private static let always = ByteBuffer(string: "x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n")
    private static let policy = ByteBuffer(string: "content-security-policy: \(contentPolicy)\r\n")
    private static let transport = ByteBuffer(string: "strict-transport-security: \(strictTransport)\r\n")
}
