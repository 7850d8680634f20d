import Domain
import Synchronization

/// The sockets of this process. A device has at most one registered session here.
final class DeviceRegistry: Sendable {
    private struct State {
        /// Registered or not.
        var sockets: [ObjectIdentifier: DeviceSession] = [:]
        var isClosing = false
        var sessions: [DeviceID: DeviceSession] = [:]
        /// Calls that are being given to a device at this moment, so that calls decided side by side spread over devices.
        var assigning: [DeviceID: Int] = [:]
    }

    private let state = Mutex(State())
    /// Raised when the last socket has gone.
    private let empty = Signal()

    var count: Int { state.withLock { $0.sessions.count } }

    /// What to tell a socket that cannot be taken: there are too many, or the gateway is going.
    func admit(_ session: DeviceSession) -> DeviceEnd? {
        state.withLock { state in
            if state.isClosing { return .goingAway }
            guard state.sockets.count < Limits.maxDeviceSessions else { return .tooManyConnections }
            state.sockets[ObjectIdentifier(session)] = session
            return nil
        }
    }

    func leave(_ session: DeviceSession) {
        let isEmpty = state.withLock { state -> Bool in
            state.sockets[ObjectIdentifier(session)] = nil
            return state.isClosing && state.sockets.isEmpty
        }
        if isEmpty { empty.raise() }
    }

    /// The session that this one replaces.
    func add(_ session: DeviceSession, for device: DeviceID) -> DeviceSession? {
        state.withLock { $0.sessions.updateValue(session, forKey: device) }
    }

    func remove(_ session: DeviceSession, for device: DeviceID) {
        state.withLock { state in
            if state.sessions[device] === session { state.sessions[device] = nil }
        }
    }

    func session(of device: DeviceID) -> DeviceSession? { state.withLock { $0.sessions[device] } }

    /// The registered ones.
    var all: [DeviceSession] { state.withLock { Array($0.sessions.values) } }

    /// Takes the device that `choose` names, told how many calls are on their way to each.
    func assign(_ choose: (_ assigning: [DeviceID: Int]) -> DeviceID?) -> DeviceID? {
        state.withLock { state in
            guard let device = choose(state.assigning) else { return nil }
            state.assigning[device, default: 0] += 1
            return device
        }
    }

    func assigned(_ device: DeviceID) {
        state.withLock { state in
            let rest = (state.assigning[device] ?? 1) - 1
            state.assigning[device] = rest > 0 ? rest : nil
        }
    }

    /// Admits nobody from now on; who is still there.
    func beginClosing() -> [DeviceSession] {
        state.withLock { state in
            state.isClosing = true
            return Array(state.sockets.values)
        }
    }

    func waitUntilEmpty() async { await empty.wait() }
}
