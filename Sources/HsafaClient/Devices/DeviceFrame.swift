import FoundationEssentials
import JSON
import NIOCore
import NIOWebSocket

/// The frames that a device sends.
enum DeviceFrame {
    static func register(deviceId: String, signature: String, tools: [DeviceTool]) -> RawJSON {
        .object { writer in
            writer.field("type", string: "device.register")
            writer.field("deviceId", string: deviceId)
            writer.field("signature", string: signature)
            writer.field("capabilities", raw: DeviceTool.capabilities(tools))
        }
    }

    static func toolResult(callId: String, _ outcome: ToolOutcome) -> RawJSON {
        .object { writer in
            writer.field("type", string: "tool.result")
            writer.field("callId", string: callId)
            outcome.write(into: &writer)
        }
    }

    static func ping() -> RawJSON {
        timed("ping", ts: Date.now.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
    }

    static func pong(ts: String?) -> RawJSON { timed("pong", ts: ts) }

    private static func timed(_ type: String, ts: String?) -> RawJSON {
        .object { writer in
            writer.field("type", string: type)
            writer.field("ts", stringIfPresent: ts)
        }
    }
}

/// Client frames are masked, each with its own key (RFC 6455 §5.3).
struct WebSocketWriter: Sendable {
    let outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>
    let onTraffic: (@Sendable (HsafaClient.Traffic) -> Void)?

    func text(_ json: RawJSON) async throws {
        onTraffic?(.frame(json.bytes, isFromDevice: true))
        try await outbound.write(WebSocketFrame(fin: true, opcode: .text, maskKey: .random(), data: ByteBuffer(bytes: json.bytes)))
    }

    func pong(_ data: ByteBuffer) async throws {
        try await outbound.write(WebSocketFrame(fin: true, opcode: .pong, maskKey: .random(), data: data))
    }

    static func closeFrame(_ code: WebSocketErrorCode) -> WebSocketFrame {
        var data = ByteBuffer()
        data.write(webSocketErrorCode: code)
        return WebSocketFrame(fin: true, opcode: .connectionClose, maskKey: .random(), data: data)
    }
}
