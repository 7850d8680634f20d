import Cryptography
import Domain
import JSON
import Logging
import Storage

extension DeviceSession {
    private enum Work {
        case none
        case registered
        case result(callID: String, ToolOutcome)
        /// A message that answers a call, as far as it can be told, and cannot be taken: the call fails, and the device hears why.
        case refused(callID: String, ToolError)
    }

    /// Frames in order; results beside each other, so many at once that a device which answers much waits at its own socket.
    func read<Frames: AsyncSequence & Sendable>(_ frames: Frames) async -> Part where Frames.Element == DeviceInput {
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            do {
                for try await frame in frames {
                    heard()
                    let work = await receive(frame)
                    if case .none = work { continue }
                    if running >= DeviceHub.maxConcurrentResults {
                        await group.next()
                        running -= 1
                    }
                    running += 1
                    group.addTask { await self.perform(work) }
                }
            } catch {
                hub.logger.debug("a device's socket failed", metadata: ["error": "\(error)"])
            }
            end(.disconnected)
        }
        return .read
    }

    private func perform(_ work: Work) async {
        switch work {
        case .none: break
        case .registered: if let identity { await hub.lookForWork(self, identity) }
        case .result(let callID, let outcome): await record(callID, outcome)
        case .refused(let callID, let error): await record(callID, .failed(error, source: .device), refusal: error)
        }
    }

    private func receive(_ input: DeviceInput) async -> Work {
        let isRegistered = isRegistered
        let frame: [UInt8]
        switch input {
        case .text(let text): frame = text
        case .oversized(let outline): return receive(outline)
        }
        let maxBytes = isRegistered ? Limits.maxDeviceFrameBytes : Limits.maxFrameBytesBeforeRegistration
        guard frame.count <= maxBytes else {
            refuse("frame_too_large", "A frame holds at most \(maxBytes) bytes here.", retryable: false, closing: .protocolViolation)
            return .none
        }
        let message: DeviceMessage
        do { message = try DeviceMessage(frame) } catch {
            guard case .malformed(let text) = error else { return .none }
            return receive(malformed: frame, text)
        }
        switch message {
        case .register(let registration):
            guard !isRegistered else {
                violation("already_registered", "This socket is registered; send device.register once.")
                return .none
            }
            return await register(registration) ? .registered : .none
        case .ping(let ts): outbox.offer(DeviceFrame.pong(ts: ts))
        case .pong: break
        case .unknown(let type): violation("unknown_type", "There is no frame type \"\(type)\" from device to gateway.")
        case .result(let callID, let outcome):
            guard isRegistered else {
                violation("not_registered", "Answer the challenge with device.register first.")
                return .none
            }
            return .result(callID: callID, outcome)
        }
        return .none
    }

    /// A result that came and could not be kept is the call's failure, and the run goes on.
    private func receive(_ outline: DeviceMessageOutline) -> Work {
        let bound = "a message holds at most \(Limits.maxDeviceFrameBytes) bytes"
        guard isRegistered, let callID = outline.callID else {
            violation("frame_too_large", "A message of \(outline.byteCount) bytes was thrown away; \(bound).")
            return .none
        }
        let error = ToolError(
            code: "result_too_large",
            message: "The device's result was thrown away: its message has \(outline.byteCount) bytes or more, and \(bound).")
        return .refused(callID: callID, error)
    }

    /// An answer that cannot be used is its call's failure too: the device holds the call for finished, and nobody else would end it before
    /// its deadline. As with a result that is too large, that is no violation: what a device answers wrongly costs it no other call.
    private func receive(malformed frame: [UInt8], _ text: String) -> Work {
        guard isRegistered, let callID = DeviceMessageOutline(whole: frame).certainCallID, CallID(callID) != nil else {
            violation("malformed_frame", text)
            return .none
        }
        return .refused(callID: callID, ToolError(code: "malformed_result", message: "The device's answer cannot be used. \(text)"))
    }

    private func violation(_ code: String, _ message: String) {
        outbox.offer(DeviceFrame.error(code, message, retryable: false))
        if countViolation() { end(.protocolViolation) }
    }

    // MARK: Registration

    private func register(_ registration: DeviceMessage.Registration) async -> Bool {
        do {
            guard let (device, credential) = try await verified(registration) else {
                // One answer for a device that is not there and for a proof that is not its own.
                refuse(
                    "unauthorized", "No device proves itself by this signature over this socket's challenge.", retryable: false,
                    closing: DeviceEnd(code: DeviceCloseCode.unauthorized, reason: "unauthorized"))
                return false
            }
            guard admitted(credential) else { return false }
            let capabilities: DeviceCapabilities
            do { capabilities = try DeviceCapabilities(reading: registration.capabilities, at: "/capabilities") } catch {
                refuse("invalid_capabilities", "\(error.pointer) \(error.message).", retryable: false, closing: .protocolViolation)
                return false
            }
            return try await hub.open(self, device: device, credential.scope, capabilities)
        } catch {
            hub.logger.warning("a device cannot be registered now", metadata: ["error": "\(error)"])
            refuse("unavailable", "The gateway cannot register devices now; connect again soon.", retryable: true, closing: .goingAway)
            return false
        }
    }

    private func verified(_ registration: DeviceMessage.Registration) async throws -> (DeviceID, DeviceCredential)? {
        guard let device = DeviceID(registration.deviceID), let signature = Base64URL.decode(registration.signature),
            let credential = try await hub.sessions.credential(of: device),
            let key = try? Ed25519.PublicKey(rawRepresentation: credential.publicKey)
        else { return nil }
        // The id in lower case, as the gateway gives it out; a device signs what it was given.
        let proof = DeviceProof.connection(
            audience: hub.audience, deviceID: registration.deviceID, nonce: nonce, timestamp: challengedAt)
        return key.isValid(signature: signature, for: proof) ? (device, credential) : nil
    }

    /// The proof was good; says why if that is not enough.
    private func admitted(_ credential: DeviceCredential) -> Bool {
        switch credential.status {
        case .revoked:
            refuse("revoked", "This device was revoked; enrol it again with a new token.", retryable: false, closing: .revoked)
        case .pending:
            refuse(
                "device_pending", "This device waits for approval; connect again when it is approved.", retryable: true,
                closing: DeviceEnd(code: DeviceCloseCode.unauthorized, reason: "device_pending"))
        case .active where credential.isTenantSuspended: refuseSuspended()
        case .active: return true
        }
        return false
    }

    /// Not 4403, which tells a device that it is over for good: a tenant may be resumed.
    func refuseSuspended() {
        refuse(
            "tenant_suspended", "This device's tenant is suspended; connect again later.", retryable: true,
            closing: DeviceEnd(code: DeviceCloseCode.unauthorized, reason: "tenant_suspended"))
    }

    // MARK: Results

    /// The acknowledgement follows the commit. Without one the device sends its result again.
    ///
    /// - Parameter refusal: what the device is told where this is the call's outcome now.
    private func record(_ text: String, _ outcome: ToolOutcome, refusal: ToolError? = nil) async {
        guard let identity else { return }
        do {
            guard let callID = CallID(text), let runID = try await runOfCall(callID, identity) else { return refuse(result: text) }
            let decision = try await hub.runs.decide(identity.scope, runID) { state in
                guard state.call(callID)?.deviceID == identity.deviceID else { return nil }
                return RunMachine.record(outcome, of: callID, in: state)
            }
            settled(callID)
            let isApplied = decision.answer == .applied
            (isApplied ? hub.resultsApplied : hub.resultsRefused).add()
            if isApplied, let refusal { outbox.offer(DeviceFrame.error(refusal.code, refusal.message, retryable: false)) }
            outbox.offer(DeviceFrame.acknowledgement(text, applied: isApplied))
        } catch let error as GatewayError where error.status == 404 {
            refuse(result: text)
        } catch {
            hub.logger.warning("a device's result cannot be written now", metadata: ["callId": "\(text)", "error": "\(error)"])
            outbox.offer(
                DeviceFrame.error("unavailable", "The result of call \(text) cannot be taken now; send it again.", retryable: true))
        }
    }

    /// The same for a call that is not there and for another device's; acknowledged, so that it is not sent again.
    private func refuse(result callID: String) {
        outbox.offer(DeviceFrame.error("not_your_call", "This device was not asked call \(callID).", retryable: false))
        outbox.offer(DeviceFrame.acknowledgement(callID, applied: false))
        if countStray() { end(.protocolViolation) }
    }

    private func runOfCall(_ callID: CallID, _ identity: DeviceIdentity) async throws -> RunID? {
        if let known = runOfSentCall(callID) { return known }
        return try await hub.database.tenant(identity.scope).run(ofCall: callID, askedOf: identity.deviceID)
    }
}
