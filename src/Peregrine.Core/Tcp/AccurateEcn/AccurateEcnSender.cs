// The sender's half of Accurate ECN: how many packets and bytes were marked, read from three bits that may have come round since the last
// ACK, and from options where they arrive (RFC 9768 §3.2.2, appendix A). What follows is congestion control's.
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.AccurateEcn;

internal static class AccurateEcnSender
{
    private const uint FieldModulus = 8;

    // RFC 9768 appendix A.2.2.
    private const uint SafetyFactor = 2;

    /// <summary>An ACK that is not out of date.</summary>
    /// <param name="state">The connection's.</param>
    /// <param name="s">The ACK.</param>
    /// <param name="delivered">Bytes that it reports for the first time, cumulatively or by SACK.</param>
    /// <param name="mss">The largest segment.</param>
    /// <returns>Bytes that were marked; a mark of a packet without data counts as one.</returns>
    internal static uint OnAck(ref AccurateEcnState state, in SegmentArrival s, uint delivered, uint mss)
    {
        if (IsSuperseded(ref state, s, delivered)) return 0;
        var field = (uint)(s.Flags & AccurateEcnHandshake.Bits) >> 6;
        if (IsZeroed(ref state, field)) return 0;
        var packets = (field - state.SentCe) & (FieldModulus - 1);
        var marked = 0u;
        var hasOption = TryTakeOption(ref state, s.Options, ref marked);
        var acknowledged = SegmentCount.Of(delivered, mss);
        // RFC 9768 §3.2.3.2.5: bytes were marked and no packet: somebody writes into the field.
        if (hasOption && marked > 0 && packets == 0 && acknowledged < FieldModulus) state.Flags |= AccurateEcnFlags.NotCapable;
        var safe = Safest(packets, acknowledged);
        if (hasOption && safe > packets && marked <= mss * packets && marked / safe < mss / SafetyFactor) safe = packets;
        state.SentCe += safe;
        if (state.Has(AccurateEcnFlags.IgnoresFeedback)) return 0;
        // RFC 9768 appendix A.3: without options the bytes are the packets', as far as bytes were delivered.
        return hasOption ? Math.Max(marked, Math.Min(safe, 1)) : safe == 0 ? 0 : Math.Max(1, Math.Min(safe * mss, delivered));
    }

    /// <summary>RFC 9768 appendix A.2.1: the field came round as often as it may have.</summary>
    internal static uint Safest(uint packets, uint acknowledged) =>
        packets > acknowledged ? packets : acknowledged - ((acknowledged - packets) & (FieldModulus - 1));

    // RFC 9768 appendix A.1: an ACK that another one has overtaken: nothing new, and no newer timestamp.
    private static bool IsSuperseded(ref AccurateEcnState state, in SegmentArrival s, uint delivered)
    {
        var isNewer = s.Options.HasTimestamps && (int)(s.Options.TsVal - state.FeedbackStamp) > 0;
        if (s.Options.HasTimestamps && (isNewer || !state.Has(AccurateEcnFlags.FeedbackSeen))) state.FeedbackStamp = s.Options.TsVal;
        return delivered == 0 && !isNewer;
    }

    // RFC 9768 §3.2.2.4: a counter that begins at 5 is not zero in the first feedback.
    private static bool IsZeroed(ref AccurateEcnState state, uint field)
    {
        if (state.Has(AccurateEcnFlags.FeedbackSeen)) return false;
        state.Flags |= AccurateEcnFlags.FeedbackSeen;
        if (field != 0) return false;
        state.Flags |= AccurateEcnFlags.NotCapable | AccurateEcnFlags.IgnoresFeedback;
        return true;
    }

    // RFC 9768 §3.2.3.1: by how much the counter of marked bytes has grown, modulo 2^24. The other two say nothing to congestion control, and are for tools.
    private static bool TryTakeOption(ref AccurateEcnState state, in TcpOptions options, ref uint marked)
    {
        if (!options.HasAccurateEcn || state.Has(AccurateEcnFlags.IgnoresOptions)) return false;
        state.Flags |= AccurateEcnFlags.OptionSeen;
        var option = options.AccurateEcn;
        // A field that is left out has not changed.
        if (option.HasEct0) state.SentEct0Bytes += Growth(option.Ect0Bytes, state.SentEct0Bytes);
        if (option.HasEct1) state.SentEct1Bytes += Growth(option.Ect1Bytes, state.SentEct1Bytes);
        if (!option.HasCe) return true;
        marked = Growth(option.CeBytes, state.SentCeBytes);
        state.SentCeBytes += marked;
        return true;
    }

    private static uint Growth(uint field, uint counter) => (field - counter) & (AccurateEcnOption.Modulus - 1);
}
