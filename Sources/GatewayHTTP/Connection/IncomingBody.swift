import Hummingbird
import NIOCore

/// A request's body on its way from the connection to its handler: a few reads of it are held, then reading waits.
enum IncomingBody {
    typealias Producer = NIOThrowingAsyncSequenceProducer<
        ByteBuffer, any Error, NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark, Delegate
    >
    typealias Source = Producer.Source

    struct Delegate: NIOAsyncSequenceProducerDelegate {
        let taken: @Sendable () -> Void
        func produceMore() { taken() }
        /// Whoever read it stopped; the rest is thrown away as it comes.
        func didTerminate() { taken() }
    }

    /// - Parameter taken: called from any thread when there is room again.
    static func make(taken: @escaping @Sendable () -> Void) -> (RequestBody, Source) {
        let made = Producer.makeSequence(
            backPressureStrategy: .init(lowWatermark: 1, highWatermark: 4), finishOnDeinit: true, delegate: Delegate(taken: taken))
        return (RequestBody(asyncSequence: made.sequence), made.source)
    }
}
