import AsyncHTTPClient
import Domain
import NIOCore
import NIOHTTP1

/// A request of a tool, whole in memory, so that it can follow redirects.
struct OutboundRequest: Sendable {
    enum Redirects: Sendable {
        /// The 3xx answer is given back.
        case refuse
        case follow
    }

    var method: String
    var url: OutboundURL
    var headers: [(name: String, value: String)]
    var body: [UInt8]?
    /// With all redirects and the body of the last answer.
    var timeout: Duration
    var maxBodyBytes: Int
    var redirects: Redirects
    /// The tenant's secrets that are in it: they go to the hosts that each names, and nowhere else.
    var secrets: SecretValues
}

/// An answer, its body cut at the bound.
struct OutboundResponse: Sendable {
    let status: Int
    let headers: [(name: String, value: String)]
    let body: [UInt8]
    let isCut: Bool
    let url: OutboundURL

    func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
}

extension EgressGuard {
    /// Sends it, follows its redirects where it asks for that, and reads the last answer.
    func send(_ request: OutboundRequest, for tenant: TenantScope) async throws -> OutboundResponse {
        try await withThrowingTaskGroup(of: OutboundResponse.self) { group in
            group.addTask { try await self.follow(request, for: tenant) }
            group.addTask {
                try await Task.sleep(for: request.timeout)
                throw EgressError(.timeout, "The host \(request.url.host) did not answer within \(request.timeout).")
            }
            defer { group.cancelAll() }
            guard let response = try await group.next() else { throw CancellationError() }
            return response
        }
    }

    private func follow(_ original: OutboundRequest, for tenant: TenantScope) async throws -> OutboundResponse {
        var request = original
        for hop in 0... {
            let response = try await open(request.message, timeout: request.timeout, for: tenant)
            let status = Int(response.status.code)
            guard request.redirects == .follow, [301, 302, 303, 307, 308].contains(status),
                let location = response.headers.first(name: "location")
            else { return try await read(response, request) }
            guard hop < Limits.maxRedirects else {
                throw EgressError(.redirect, "The host \(original.url.host) redirects more than \(Limits.maxRedirects) times.")
            }
            try request.redirect(to: location, status: status)
        }
        throw CancellationError()
    }

    private func read(_ response: HTTPClientResponse, _ request: OutboundRequest) async throws -> OutboundResponse {
        var body: [UInt8] = []
        var isCut = false
        do {
            for try await buffer in response.body {
                let room = request.maxBodyBytes - body.count
                body.append(contentsOf: buffer.readableBytesView.prefix(room))
                isCut = buffer.readableBytes > room
                if isCut { break }
            }
        } catch {
            try Task.checkCancellation()
            throw EgressError(.unreachable, "The host \(request.url.host) broke its answer off.", cause: "\(error)")
        }
        // A cancelled sequence may just end.
        try Task.checkCancellation()
        return OutboundResponse(
            status: Int(response.status.code), headers: response.headers.map { ($0.name, $0.value) }, body: body, isCut: isCut,
            url: request.url)
    }
}

extension OutboundRequest {
    fileprivate var message: HTTPClientRequest {
        var message = HTTPClientRequest(url: url.description)
        message.method = .RAW(value: method)
        for (name, value) in headers { message.headers.add(name: name, value: value) }
        if let body { message.body = .bytes(ByteBuffer(bytes: body)) }
        return message
    }

    /// What no other origin gets, whether a secret is in it or not.
    private static let credentials: Set<String> = ["authorization", "cookie", "proxy-authorization", "x-api-key", "api-key"]

    /// As browsers do it (Fetch §4.4), and stricter where something could go astray: never from TLS to plain HTTP, credentials and
    /// secrets never to another origin.
    fileprivate mutating func redirect(to location: String, status: Int) throws(EgressError) {
        let next: OutboundURL
        do throws(OutboundURLError) { next = try url.resolving(location) } catch {
            throw EgressError(.redirect, "The host \(url.host) redirects to a URL that \(error.message).")
        }
        guard next.isTLS || !url.isTLS else {
            throw EgressError(.redirect, "The host \(url.host) redirects from https to http, which is not followed.")
        }
        if status == 303 && method != "HEAD" || (status == 301 || status == 302) && method == "POST" {
            method = "GET"
            body = nil
            headers.removeAll { $0.name.lowercased().hasPrefix("content-") }
        }
        if next.origin != url.origin {
            headers.removeAll { Self.credentials.contains($0.name.lowercased()) || secrets.occur(in: $0.value) }
            let carriesSecret = body.map { secrets.occur(in: $0) } ?? false
            guard !carriesSecret, !secrets.occur(in: next.description) else {
                throw EgressError(.redirect, "The host \(url.host) redirects to another origin a request that holds a secret.")
            }
        }
        url = next
    }
}
