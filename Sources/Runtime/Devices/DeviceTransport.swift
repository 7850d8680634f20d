/// The network side of a device's socket. Whoever implements it limits incoming messages itself, to
/// `Limits.maxFrameBytesBeforeRegistration` until told otherwise, and ends the sequence of frames when the socket is closed.
public protocol DeviceTransport: Sendable {
    var remoteAddress: String? { get }
    /// One text message; waits while the socket cannot take more.
    func send(_ text: [UInt8]) async throws
    func close(code: UInt16, reason: String) async
    /// - Parameter skimmed: of a message beyond `count`, so much is looked through for what it was about and given on as `.oversized`; beyond
    ///   that, the socket is closed.
    func setMaxFrameBytes(_ count: Int, skimmed: Int)
}
