public import NIOHTTP1

extension HsafaClient {
    /// What came from the gateway, and what a device said to it. It holds what was said in full, which may be secrets.
    public enum Traffic: Sendable {
        case answer(Exchange)
        /// An event of a run's stream. `name` is `hsafa`, or `gap`.
        case event(name: String, data: [UInt8])
        /// A message on a device's socket.
        case frame([UInt8], isFromDevice: Bool)
    }

    public struct Exchange: Sendable {
        public let method: String
        /// As it was asked for, with its query.
        public let path: String
        public let requestBody: [UInt8]?
        public let status: Int
        public let headers: HTTPHeaders
        /// nil for a stream, whose events come one by one.
        public let body: [UInt8]?
    }
}
