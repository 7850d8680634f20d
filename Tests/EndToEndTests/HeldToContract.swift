import HsafaClient
import TestContract
import Testing

extension DeviceConnection.Options {
    /// As clients are.
    func heldToContract() throws -> Self { held(to: try Contract.shared) { Issue.record(Comment(rawValue: $0)) } }
}

extension HsafaClient {
    /// What comes to it is held to `openapi.yaml`; what that does not describe fails the test that saw it.
    func heldToContract() throws -> HsafaClient { held(to: try Contract.shared) { Issue.record(Comment(rawValue: $0)) } }
}

// Domain has a type of the same name, so this is named here, where it is not imported.
extension HsafaClient {
    typealias Event = RunEvent
}
