import Domain
import JSON
import Storage

/// Why a device may stop working on a call; stable codes, for devices to switch on.
public enum CallCancelReason: String, Sendable {
    /// Its run was canceled or failed.
    case runEnded = "run_ended"
    /// The call expired, or got its outcome elsewhere.
    case callEnded = "call_ended"
}

/// The frames that a gateway sends to a device, subprotocol `hsafa.device.v1`.
enum DeviceFrame {
    static func challenge(nonce: String, ts: String, audience: String) -> [UInt8] {
        frame("device.challenge") { writer in
            writer.field("nonce", string: nonce)
            writer.field("ts", string: ts)
            writer.field("audience", string: audience)
        }
    }

    static func registered(device: DeviceID, session: DeviceSessionID, heartbeatSeconds: Int) -> [UInt8] {
        frame("device.registered") { writer in
            writer.field("deviceId", string: device.description)
            writer.field("sessionId", string: session.description)
            writer.field("heartbeatSeconds", int: heartbeatSeconds)
            writer.field("maxFrameBytes", int: Limits.maxDeviceFrameBytes)
        }
    }

    /// What goes out is what the gate has judged, each time that it goes out.
    static func call(_ pass: ToolPass, of run: RunID, deadlineAt: Timestamp, attempt: Int) -> [UInt8] {
        frame("tool.call.request") { writer in
            writer.field("runId", string: run.description)
            writer.field("callId", string: pass.callID.description)
            writer.field("tool", string: pass.tool)
            writer.field("args", raw: pass.arguments)
            writer.field("deadline", string: deadlineAt.description)
            writer.field("attempt", int: attempt)
        }
    }

    static func acknowledgement(_ callID: String, applied: Bool) -> [UInt8] {
        frame("tool.result.ack") { writer in
            writer.field("callId", string: callID)
            writer.field("applied", bool: applied)
        }
    }

    static func cancel(_ callID: CallID, reason: CallCancelReason) -> [UInt8] {
        frame("tool.call.cancel") { writer in
            writer.field("callId", string: callID.description)
            writer.field("reason", string: reason.rawValue)
        }
    }

    static func ping() -> [UInt8] { frame("ping") { $0.field("ts", string: Timestamp.now().description) } }

    /// `ts` comes back as it was sent.
    static func pong(ts: RawJSON?) -> [UInt8] { frame("pong") { $0.field("ts", rawIfPresent: ts) } }

    static func error(_ code: String, _ message: String, retryable: Bool) -> [UInt8] {
        frame("error") { writer in
            writer.field("code", string: code)
            writer.field("message", string: message)
            writer.field("retryable", bool: retryable)
        }
    }

    private static func frame(_ type: String, _ build: (inout JSONWriter) -> Void) -> [UInt8] {
        RawJSON.object { writer in
            writer.field("type", string: type)
            build(&writer)
        }.bytes
    }
}
