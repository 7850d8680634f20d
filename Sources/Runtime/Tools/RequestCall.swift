import Domain
import JSON
import Storage

/// One call of a `request` tool: filled in, sent through the guard, its answer read.
struct RequestCall: Sendable {
    let tool: RequestTool
    let pass: ToolPass
    let timeoutSeconds: Int
    let egress: EgressGuard
    let tenant: TenantScope
    let secrets: [Secret]
    let values: SecretValues

    func outcome() async throws -> ToolOutcome {
        do {
            let filled = try fill()
            return read(try await egress.send(outbound(filled), for: tenant), method: filled.method)
        } catch let error as TemplateError {
            return failed("invalid_request", error.message)
        } catch let error as EgressError {
            return failed(error.code.rawValue, error.message)
        }
    }

    private func failed(_ code: String, _ message: String) -> ToolOutcome {
        .failed(ToolError(code: code, message: message), source: .server)
    }

    private func fill() throws -> FilledRequest {
        let root = try pass.arguments.document().root
        let used = secrets.filter { tool.secretNames.contains($0.name) }
        let filled = try tool.filled(TemplateValues(arguments: root, secrets: used))
        for secret in used where !secret.mayGo(to: filled.url) {
            throw TemplateError("The secret \(secret.name) may not be sent to \(filled.url.host); add the host to the secret.")
        }
        return filled
    }

    private func outbound(_ filled: FilledRequest) -> OutboundRequest {
        var headers = filled.headers
        func add(_ name: String, _ value: String) {
            if !headers.contains(where: { $0.name.lowercased() == name }) { headers.append((name, value)) }
        }
        add("accept", "application/json, text/*;q=0.9, */*;q=0.1")
        add("user-agent", "hsafa-gateway")
        if !["GET", "HEAD"].contains(filled.method) { add("idempotency-key", pass.callID.description) }
        let bound = min(timeoutSeconds, Limits.maxRequestToolSeconds) * 1000
        return OutboundRequest(
            method: filled.method, url: filled.url, headers: headers, body: filled.body,
            timeout: .milliseconds(min(tool.timeoutMilliseconds ?? bound, bound)), maxBodyBytes: Limits.maxToolAnswerBytes,
            redirects: .follow, secrets: values)
    }

    private func read(_ response: OutboundResponse, method: String) -> ToolOutcome {
        // Secrets go before anything is shortened: of one that was cut in two, the beginning would stay.
        let body = values.cut(fromAnswer: response.body, isShortened: response.isCut)
        guard (200...299).contains(response.status) else {
            let text = ResultCut.text(body.prefix(Limits.maxShownFailureBytes))
            return failed(
                "http_\(response.status)",
                "\(method) \(response.url.host) answered \(response.status)" + (text.map { $0.isEmpty ? "." : ": \($0)" } ?? "."))
        }
        let type = (response.header("content-type") ?? "").lowercased().split(separator: ";").first.map(String.init) ?? ""
        if type == "application/json" || type.hasSuffix("+json"), !response.isCut,
            let json = try? RawJSON(validating: response.body, limits: JSONLimits(maxBytes: Limits.maxToolAnswerBytes))
        {
            return .result(values.cut(from: json.compacted()), source: .server)
        }
        guard let text = ResultCut.text(body[...], isCut: response.isCut) else {
            let named = type.isEmpty ? "no stated type" : type
            return failed("not_text", "\(response.url.host) answered \(response.body.count) bytes of \(named), which is no text.")
        }
        return response.isCut
            ? .part(text, maxBytes: pass.maxResultBytes, source: .server) : .result(ResultCut.string(text), source: .server)
    }
}
