import Foundation

/// The reference implementation of Standard Webhooks, which `scripts/test.sh` has installed, asked about one message.
public enum ReferenceWebhooks {
    /// - Parameters:
    ///   - body: nil: as it came.
    ///   - secret: `whsec_…`.
    public static func accepts(_ request: ToolServer.Received, body: String? = nil, secret: String) throws -> Bool {
        guard let python = ProcessInfo.processInfo.environment["TEST_WEBHOOKS_PYTHON"] else {
            throw ServerFailure(description: "TEST_WEBHOOKS_PYTHON is not set: run scripts/test.sh")
        }
        let headers = Dictionary(request.headers.map { ($0.name.lowercased(), $0.value) }) { $1 }
        let message: [String: Any] = ["secret": secret, "body": body ?? request.text, "headers": headers]
        let text = String(decoding: try JSONSerialization.data(withJSONObject: message), as: UTF8.self)
        var root = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        root.removeLast(3)
        let script = root.joined(separator: "/") + "/Tests/Webhooks/verify.py"
        let done = try ChildProcess.run([python, script], environment: ["MESSAGE": text])
        // 3 is its refusal; anything else says nothing about the message.
        guard done.status == 0 || done.status == 3 else { throw ServerFailure(description: "verify.py: \(done.error)") }
        return done.status == 0
    }
}
