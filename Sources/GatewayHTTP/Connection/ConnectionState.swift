import NIOCore

/// Where a connection stands, and until when it may stay there. Decides only; `ConnectionGuard` acts.
struct ConnectionState {
    enum Phase: Equatable {
        /// No request under way, no byte of the next.
        case waiting
        /// Some bytes of a head have come.
        case readingHead
        /// The head is there, the body is not.
        case readingBody
        /// All that is left is our answer, which has its own bounds.
        case answering
        /// The last answer is out.
        case lingering
        /// The connection has become a WebSocket.
        case upgraded
    }

    enum Overdue: Equatable {
        case close
        /// 408, where no answer has begun.
        case answerTimeout(isReadingBody: Bool)
    }

    private(set) var phase = Phase.waiting
    private(set) var deadline: NIODeadline?
    /// Requests whose answer has not ended; more than one when the client pipelines.
    private(set) var openRequests = 0
    private(set) var hasBegunAnswer = false
    private(set) var requestsSeen = 0
    /// Nothing follows the answer under way: the client or the answer said so.
    var endsWithThisAnswer = false
    /// What has been asked is still answered: the gateway is shutting down, or what follows is no HTTP.
    var endsWhenAnswered = false

    var isReadingRequest: Bool { phase == .readingBody }

    private let times: ConnectionTimes

    init(now: NIODeadline, times: ConnectionTimes) {
        self.times = times
        wait(now)
    }

    private mutating func wait(_ now: NIODeadline) {
        phase = .waiting
        deadline = now + times.idle
    }

    mutating func bytesArrived(_ now: NIODeadline) {
        guard phase == .waiting else { return }
        phase = .readingHead
        deadline = now + times.head
    }

    mutating func headRead(_ now: NIODeadline, isKeptAlive: Bool) {
        openRequests += 1
        requestsSeen += 1
        if !isKeptAlive { endsWhenAnswered = true }
        phase = .readingBody
        deadline = now + times.body
    }

    mutating func requestRead() {
        guard phase == .readingBody else { return }
        phase = .answering
        deadline = nil
    }

    mutating func upgrade() {
        phase = .upgraded
        deadline = nil
    }

    mutating func answerBegan() { hasBegunAnswer = true }

    /// Also when the request was not read to its end.
    var isLastAnswer: Bool {
        endsWithThisAnswer || (isReadingRequest && openRequests <= 1) || (endsWhenAnswered && openRequests <= 1)
    }

    /// Returns whether the connection ends with this answer.
    mutating func answerEnded(_ now: NIODeadline) -> Bool {
        let isLast = isLastAnswer
        hasBegunAnswer = false
        openRequests -= 1
        if !isLast, openRequests == 0 { wait(now) }
        return isLast
    }

    mutating func linger(until deadline: NIODeadline) {
        phase = .lingering
        self.deadline = deadline
    }

    /// A body that is not read yet, for no fault of the client's.
    mutating func extend(_ now: NIODeadline) { deadline = now + times.body }

    /// A request that was counted and will not be answered.
    mutating func forgetRequest() {
        openRequests -= 1
        phase = .answering
        deadline = nil
    }

    /// What is to be done now that `deadline` has passed.
    func overdue() -> Overdue {
        switch phase {
        case .readingHead: .answerTimeout(isReadingBody: false)
        case .readingBody: .answerTimeout(isReadingBody: true)
        case .waiting, .answering, .lingering, .upgraded: .close
        }
    }
}
