import Domain

/// How often is looked, in Postgres, for what messages tell at once, and how long what was found stands. `Limits` has the figures in
/// force; they are here so that a test can move a poll out of the way of a message, or the other way round.
public struct GatewayIntervals: Sendable {
    /// Between looks for revoked keys and suspended tenants.
    public var accessPoll: Duration = .seconds(Limits.accessPollSeconds)
    /// Limits of a tenant are read again when they are older than this.
    public var limitsAge: Duration = .seconds(Limits.tenantLimitsSeconds)
    /// Between looks for calls that devices were not sent, and for ends that the runs of `ai-agent` tools were not told.
    public var callSweep: Duration = .milliseconds(Limits.callSweepMilliseconds)
    /// Between looks for timers and deliveries that are due.
    public var schedulePoll: Duration = .milliseconds(Limits.schedulePollMilliseconds)
    /// One attempt to deliver a call, its whole answer included.
    public var deliveryAttempt: Duration = .seconds(Limits.deliverySeconds)
    /// Between looks for calls and runs past their deadlines, for records that lapsed, and for a policies folder that changed.
    public var deadlineSweep: Duration = .milliseconds(Limits.callSweepMilliseconds)
    /// From the opening of a device's socket to its `device.register`.
    public var deviceRegistration: Duration = .seconds(Limits.registrationSeconds)
    /// How long Redis is left alone after a command that it did not answer in time.
    public var redisPause: Duration = .milliseconds(Limits.redisPauseMilliseconds)

    public init() {}

    /// A cached principal is trusted so long without a poll that succeeded.
    var principalTrust: Duration { max(.seconds(Limits.principalTrustSeconds), accessPoll * 3) }
}
