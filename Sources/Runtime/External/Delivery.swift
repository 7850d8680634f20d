import Domain
import JSON
import ModelProviders
import Storage

/// One attempt to post a call to its system, signed per Standard Webhooks.
struct Delivery: Sendable {
    let due: DueCall
    let endpoint: ExternalEndpoint
    /// What the config names, so that a value is cut out of the answer.
    let values: SecretValues
    /// Those of the headers.
    let secrets: [Secret]
    let signers: [WebhookSecret]
    let resultURL: String
    let resultToken: String
    let egress: EgressGuard
    /// The attempt's own bound.
    let timeout: Duration

    struct Answer: Sendable {
        let meaning: DeliveryAnswer
        /// As the system wants it, bounded.
        var retryAfterMilliseconds: Int?
        /// For logs alone; "": no more than `meaning` says.
        var cause = ""
    }

    /// - Parameter pass: the gate's, for this call; there is no other way to have one.
    func post(_ pass: ToolPass) async throws -> Answer {
        do {
            let response = try await egress.send(try request(pass), for: due.scope)
            // Secrets go before anything is shortened: of one that was cut in two, the beginning would stay.
            let body = values.cut(fromAnswer: response.body, isShortened: response.isCut)
            let meaning = DeliveryAnswer.reading(
                status: response.status, body: body, isCut: response.isCut, maxResultBytes: pass.maxResultBytes)
            guard case .retry = meaning else { return Answer(meaning: meaning) }
            return Answer(
                meaning: meaning,
                retryAfterMilliseconds: RetryAfter.milliseconds(
                    retryAfterMs: nil, retryAfter: response.header("retry-after"),
                    nowUnixSeconds: Timestamp.now().millisecondsSinceUnixEpoch / 1000
                ).map { min($0, Limits.maxRetryAfterSeconds * 1000) })
        } catch let error as EgressError {
            if error.mayPass { return Answer(meaning: .retry(error.message), cause: error.cause) }
            return failed(error.code.rawValue, error.message)
        } catch let error as TemplateError {
            return failed("invalid_request", error.message)
        }
    }

    private func failed(_ code: String, _ message: String) -> Answer {
        Answer(meaning: .outcome(.failed(ToolError(code: code, message: message), source: .gateway)))
    }

    private func request(_ pass: ToolPass) throws -> OutboundRequest {
        let body = ExternalCall(
            runID: due.runID, callID: pass.callID, tool: pass.tool, arguments: pass.arguments,
            agentName: due.agentName,
            deadlineAt: due.deadlineAt, resultURL: resultURL, resultToken: resultToken
        ).json.bytes
        // A deadline that is nearer than the bound of an attempt ends the attempt with the call.
        let left = due.deadlineAt.millisecondsSinceUnixEpoch - Timestamp.now().millisecondsSinceUnixEpoch
        return OutboundRequest(
            method: "POST", url: endpoint.url, headers: try headers(pass.callID, body), body: body,
            timeout: min(.milliseconds(max(left, 1)), timeout), maxBodyBytes: Limits.maxToolAnswerBytes,
            redirects: .refuse, secrets: values)
    }

    private func headers(_ callID: CallID, _ body: [UInt8]) throws(TemplateError) -> [(name: String, value: String)] {
        for secret in secrets where !secret.mayGo(to: endpoint.url) {
            throw TemplateError("The secret \(secret.name) may not be sent to \(endpoint.url.host); add the host to the secret.")
        }
        var headers = try endpoint.filledHeaders(secrets)
        let timestamp = Timestamp.now().millisecondsSinceUnixEpoch / 1000
        let signatures = signers.map { $0.signature(id: callID.description, timestamp: timestamp, body: body) }
        headers += [
            ("content-type", "application/json"), ("webhook-id", callID.description), ("webhook-timestamp", "\(timestamp)"),
            ("webhook-signature", signatures.joined(separator: " ")),
        ]
        if !headers.contains(where: { $0.name.lowercased() == "user-agent" }) { headers.append(("user-agent", "hsafa-gateway")) }
        return headers
    }
}
