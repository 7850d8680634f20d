import Domain
import NIOCore
import Runtime

/// A device's socket as the device hub sees it.
struct DeviceSocket: DeviceTransport {
    let channel: any Channel
    let outbound: NIOAsyncChannelOutboundWriter<WebSocketMessage>
    let remoteAddress: String?

    init(channel: any Channel, outbound: NIOAsyncChannelOutboundWriter<WebSocketMessage>) {
        self.channel = channel
        self.outbound = outbound
        remoteAddress = channel.remoteAddress?.ipAddress
    }

    /// Waits while the socket cannot take more; throws when it is closed.
    func send(_ text: [UInt8]) async throws { try await outbound.write(.text(text)) }

    /// Passes by what waits to be written: a device that reads nothing is closed all the same.
    func close(code: UInt16, reason: String) async {
        try? await channel.triggerUserOutboundEvent(WebSocketCloseRequest(code: code, reason: reason)).get()
    }

    func setMaxFrameBytes(_ count: Int, skimmed: Int) {
        channel.triggerUserOutboundEvent(WebSocketMessageBound(maxBytes: count, maxSkimmedBytes: skimmed), promise: nil)
    }
}
