import Domain
import Storage
import Synchronization

/// Carries word from runs to the device hub, which is built after them.
final class DeviceLink: Sendable {
    private let linked = Mutex<DeviceHub?>(nil)

    var hub: DeviceHub? {
        get { linked.withLock { $0 } }
        set { linked.withLock { $0 = newValue } }
    }

    func callsCommitted(_ claimed: ClaimedRun, _ calls: [NewToolCall]) {
        let device = calls.filter { $0.target == .device && $0.approval == nil }
        guard !device.isEmpty else { return }
        hub?.callsCommitted(claimed.scope, runID: claimed.runID, calls: device)
    }

    /// A person approved it.
    func callReleased(_ scope: TenantScope, _ call: CallID) { hub?.callReleased(scope, call) }

    func callsEnded(_ scope: TenantScope, _ calls: [CallState]) {
        let asked = calls.filter { $0.deviceID != nil }
        guard !asked.isEmpty else { return }
        hub?.callsEnded(scope, callIDs: asked.map(\.call.callID), devices: asked.map(\.deviceID), reason: .runEnded)
    }
}
