import Domain
import JSON
import NIOCore
import Redis
import Storage

/// What one gateway tells the one that holds a device's socket, on `device:{id}:notify`. Nobody relies on its arrival: the
/// sweeps and the heartbeats find out the same from Postgres.
enum DeviceNotice {
    /// `frame` is the whole `tool.call.request`.
    case call(RunID, CallID, frame: [UInt8])
    case cancel(CallID, reason: CallCancelReason)
    /// Look at your session's row: another socket may have taken over, or the device was revoked. Only the row says which, and
    /// whether it is this session that is over: notices of two takeovers may arrive in any order.
    case check

    var json: RawJSON {
        RawJSON.object { writer in
            switch self {
            case .call(let run, let call, let frame):
                writer.field("type", string: "call")
                writer.field("runId", string: run.description)
                writer.field("callId", string: call.description)
                writer.field("frame", raw: RawJSON(trusted: frame))
            case .cancel(let call, let reason):
                writer.field("type", string: "cancel")
                writer.field("callId", string: call.description)
                writer.field("reason", string: reason.rawValue)
            case .check: writer.field("type", string: "check")
            }
        }
    }

    /// nil for what this version does not know.
    init?(_ message: ByteBuffer) {
        guard let root = (try? JSONDocument(parsing: Array(message.readableBytesView)))?.root else { return nil }
        let call = root["callId"]?.string.flatMap { CallID($0) }
        switch root["type"]?.string {
        case "call":
            guard let call, let run = root["runId"]?.string.flatMap({ RunID($0) }), let frame = root["frame"] else { return nil }
            self = .call(run, call, frame: Array(frame.raw))
        case "cancel":
            guard let call else { return nil }
            self = .cancel(call, reason: root["reason"]?.string.flatMap(CallCancelReason.init(rawValue:)) ?? .callEnded)
        case "check": self = .check
        default: return nil
        }
    }

    func publish(to device: DeviceID, over redis: RedisClient) {
        var command = RedisCommand("PUBLISH", RedisKeys.deviceNotify(device))
        command.append(json.bytes)
        redis.post([command])
    }
}
