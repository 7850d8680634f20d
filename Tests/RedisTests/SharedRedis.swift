import Foundation
import TestServers

/// The server of tests that disturb nobody: `TEST_REDIS_URL`, or one of our own until the process ends.
enum SharedRedis {
    private static let server = Task { () -> String in
        if let url = ProcessInfo.processInfo.environment["TEST_REDIS_URL"], !url.isEmpty { return url }
        return try await ThrowawayRedis.start().url
    }

    static var url: String { get async throws { try await server.value } }
}
