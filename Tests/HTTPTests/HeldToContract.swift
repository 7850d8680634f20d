import HsafaClient
import NIOHTTP1
import TestContract
import Testing

/// Every answer, event and frame that the suites see is held to `openapi.yaml`; what it does not describe fails the test that saw it.
enum HeldToContract {
    static func tell(_ check: (Contract) throws -> [String]) {
        do {
            for violation in try check(try Contract.shared) { Issue.record("openapi.yaml: \(violation)") }
        } catch { Issue.record("openapi.yaml cannot be asked: \(error)") }
    }

    /// - Parameter body: nil where it is not looked at, or comes in parts.
    static func answer(_ method: String, _ target: String, status: Int, _ headers: HTTPHeaders, _ body: [UInt8]?) {
        tell { contract in
            try contract.check(
                Contract.Exchange(
                    method: method, target: target, status: status, headers: headers.map { ($0.name, $0.value) }, body: body))
        }
    }

    static func event(_ name: String, _ data: String) { tell { try $0.check(event: name, data: Array(data.utf8)) } }
    static func frame(_ bytes: [UInt8], _ direction: Contract.Direction) { tell { try $0.check(frame: bytes, direction) } }
    static func close(_ code: UInt16) { tell { try $0.check(closeCode: code) } }

    /// A message that breaks the description because the test is about what comes of that.
    static func leftOut(_ reason: StaticString) {
        tell { contract in
            contract.leaveOut()
            return []
        }
    }
}

extension HsafaClient {
    func heldToContract() throws -> HsafaClient { held(to: try Contract.shared) { Issue.record(Comment(rawValue: $0)) } }
}
