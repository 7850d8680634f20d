/// Every bound of the client; the caller may set others.
public struct MCPLimits: Sendable {
    // MARK: One answer
    /// One JSON answer, one line or one event of a stream.
    public var maxMessageBytes = 4 << 20
    /// All events of one answer's stream, reconnections included.
    public var maxStreamBytes = 16 << 20
    public var maxEventsPerAnswer = 10_000
    public var maxErrorBodyBytes = 64 << 10
    /// Requests of the server (ping, sampling, …) that are answered while one answer is waited for; more break the answer off.
    public var maxServerRequests = 32
    public var maxReconnections = 64
    /// Reconnections in a row that brought nothing.
    public var maxVainReconnections = 3
    /// How long is waited before a reconnection when the server names no time, and the range its wish is held to.
    public var reconnectionMilliseconds = 1000
    public var reconnectionRangeMilliseconds = 50...30_000
    /// For the notice that a request is given up, and for the end of a session.
    public var farewellSeconds = 2

    // MARK: Tools
    public var maxPages = 64
    public var maxListBytes = 8 << 20
    public var maxTools = 128
    public var maxToolNameBytes = 128
    public var maxSchemaBytes = 64 << 10
    public var maxDescriptionBytes = 8192
    public var maxCursorBytes = 8192
    public var maxErrorTextBytes = 16_384
    /// One value of a parameter that a server wants in a header.
    public var maxHeaderValueBytes = 4096
    /// How often a request is made again because the server returned nothing but a state to send back.
    public var maxStateRounds = 4

    // MARK: Eras
    public var maxKnownEras = 4096
    public var eraSeconds = 3600

    public init() {}
}
