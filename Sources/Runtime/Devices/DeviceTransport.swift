/// The network side of a device's socket. Whoever implements it limits incoming messages itself, to
/// `Limits.maxFrameBytesBeforeRegistration` until told otherwise, and ends the sequence of frames when the socket is closed.
public protocol DeviceTransport: Sendable {
    var remoteAddress: String? { get }
    /// One text message; waits while the socket cannot take more.
    func send(_ text: [UInt8]) async throws
    func close(code: UInt16, reason: String) async
    func setMaxFrameBytes(_ count: Int)
}
