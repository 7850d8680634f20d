import Domain
import HTTPTypes
import Hummingbird
import Runtime
import Storage

/// Holds a request to its tenant's limits, right behind `Authenticate`, and tells on every answer how the tenant stands.
struct RateLimit: Sendable {
    let limiter: TenantLimiter
    let kind: RequestKind

    /// - Parameter handle: gets the place of a stream, where the route asks for one.
    func callAsFunction(
        _ scope: TenantScope, _ context: OpenContext, _ handle: (Place?) async throws -> Response
    ) async throws -> Response {
        let admission = try await limiter.admit(scope, kind)
        let fields = RateLimitFields(admission, kind)
        do {
            if let refusal = admission.refusal { throw refusal }
            var response = try await handle(admission.place)
            fields.add(to: &response.headers)
            return response
        } catch {
            // The answer is made by `ErrorTranslator`.
            context.tenant.note(fields)
            throw error
        }
    }
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers): lists of structured fields (RFC 9651).
struct RateLimitFields: Sendable {
    private let policy: String
    private let standing: String?

    init(_ admission: Admission, _ kind: RequestKind) {
        let isCreation = kind == .runCreation
        policy = isCreation ? admission.rates.creationPolicyHeader : admission.rates.requestPolicyHeader
        guard let first = admission.answer.first else {
            standing = nil
            return
        }
        standing = Self.text(first, isCreation ? admission.answer.second : nil)
    }

    func add(to headers: inout HTTPFields) {
        headers.append(HTTPField(name: Self.policyName, value: policy))
        if let standing { headers.append(HTTPField(name: Self.standingName, value: standing)) }
    }

    /// `"requests";r=50;t=1, "runs";r=9;t=60`, written byte by byte: it is on every answer.
    static func text(_ requests: RateStanding, _ runs: RateStanding?) -> String {
        // Two names and four numbers of at most 19 digits.
        String(unsafeUninitializedCapacity: 128) { bytes in
            var end = 0
            func put(_ text: StaticString) {
                for index in 0..<text.utf8CodeUnitCount { bytes[end + index] = text.utf8Start[index] }
                end += text.utf8CodeUnitCount
            }
            func put(_ number: Int) {
                var rest = max(0, number)
                var digits = 1
                while rest >= 10 {
                    rest /= 10
                    digits += 1
                }
                rest = max(0, number)
                for index in stride(from: end + digits - 1, through: end, by: -1) {
                    bytes[index] = UInt8(48 + rest % 10)
                    rest /= 10
                }
                end += digits
            }
            put("\"requests\";r=")
            put(requests.remaining)
            put(";t=")
            put(requests.resetSeconds)
            if let runs {
                put(", \"runs\";r=")
                put(runs.remaining)
                put(";t=")
                put(runs.resetSeconds)
            }
            return end
        }
    }

    // Literals that are valid names; the initializer fails for others only.
    private static let policyName = HTTPField.Name("RateLimit-Policy") ?? .range
    private static let standingName = HTTPField.Name("RateLimit") ?? .range
}
