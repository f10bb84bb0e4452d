// The SYN or SYN-ACK of a connection that has a TCB: what it offers, and the data that go with it (RFC 9293 §3.10.1, RFC 7413 §4.2).
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed class TcpSynOutput(TcpContext context, TcpSegmentWriter writer, FastOpenClient fastOpenClient, FastOpenServer fastOpenServer)
{
    private readonly TcpContext _x = context;
    private readonly TcpSegmentWriter _writer = writer;
    private readonly FastOpenClient _fastOpenClient = fastOpenClient;
    private readonly FastOpenServer _fastOpenServer = fastOpenServer;

    /// <summary>Sends the SYN, or in SYN-RECEIVED the SYN-ACK, that is pending; false when there is no room for it.</summary>
    internal bool Send(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        if (!_x.Ip.HasRoom(c.Path)) return false;
        var settings = _x.SettingsOf(t);
        var answer = c.State == TcpState.SynReceived;
        var isAgain = t.K.SegmentsRetransmitted != 0 || t.K.SynAgain == SynAgain.Sent;
        var plan = new SegmentPlan
        {
            Seq = c.Snd.Iss,
            Ack = answer ? c.Rcv.Nxt : default,
            Flags = answer ? TcpFlags.Syn | TcpFlags.Ack : TcpFlags.Syn,
            Window = WindowOf(ref c, answer),
        };
        plan.Flags |= answer ? TcpEcn.SynAckBits(_x, t) : TcpEcn.SynBits(settings, c.Backoff, _x.AccurateEcn.HasRoom);
        plan.Ecn = TcpEcn.SynEcn(settings, plan.Flags);
        plan.Options.IsPacked = settings.PackedSynOptions;
        // RFC 9293 SHLD-5, MAY-3, MUST-65: the MSS option goes on every SYN and on nothing else.
        if (!settings.NoOptions) plan.Options.Mss = TcpHandshake.AnnouncedMss(c.Local, c.Path, settings, _x.Encapsulation.OverheadOf(c));
        var offered = TcpActiveOpen.Offered(_x, t, settings, answer);
        if ((offered & TcbFlags.Timestamps) != 0) plan.Options.SetTimestamps(TcpContext.TimestampNow(c, now), answer ? c.TsRecent : 0);
        if (_x.Authenticator is { } authenticator) authenticator.Of(t)?.Reserve(ref plan.Options);
        if ((offered & TcbFlags.Sack) != 0) plan.Options.SackPermitted = true;
        if ((offered & TcbFlags.WindowScaling) != 0) plan.Options.WindowScale = new WindowScale(TcpActiveOpen.OfferedScale(t, settings, answer));
        var cookie = default(FastOpenCookie);
        var dataLength = 0;
        // RFC 7413 §4.2.1, §4.2.2: on the first try only.
        if (answer) cookie = PlanGrant(t, ref plan);
        else if ((t.K.FastOpen & FastOpenFlags.Client) != 0 && !isAgain) cookie = _fastOpenClient.Plan(t, ref plan, out dataLength);
        if (!_writer.TrySend(t, plan, 0, dataLength, now, cookie)) return false;
        TcpOutput.AckIsSent(_x, t);
        c.Flags &= ~TcbFlags.SynPending;
        c.Snd.Nxt = SeqNumber.Max(c.Snd.Nxt, c.Snd.Iss + 1);
        c.Snd.Max = SeqNumber.Max(c.Snd.Max, c.Snd.Iss + 1 + (uint)dataLength);
        if (!isAgain) t.K.RoundStart = Deadline.At(now);
        else _x.CountSynAgain();
        if (!t.K.Retransmission.IsSet) t.K.Retransmission = Deadline.At(now + _x.Recovery.Settings.RtoInitial);
        _x.Arm(t, t.K.Retransmission);
        return true;
    }

    // RFC 9293 §3.10.7.4: what a SYN-ACK promises is acceptable, whatever has become of the buffer since the SYN was taken; RFC 7413 §4.2.2: the SYN's data may
    // be in it.
    private static ushort WindowOf(ref Tcb c, bool answer)
    {
        var used = c.ReceiveQueue.Length;
        var window = Math.Min(c.ReceiveBuffer > used ? c.ReceiveBuffer - used : 0, ushort.MaxValue);
        if (!answer) return (ushort)window;
        c.Rcv.Edge = SeqNumber.Max(c.Rcv.Edge, c.Rcv.Nxt + window);
        return (ushort)Math.Min((uint)(c.Rcv.Edge - c.Rcv.Nxt), ushort.MaxValue);
    }

    // A cookie of the key before was good once more: here is one of the new key.
    private FastOpenCookie PlanGrant(TcbRef t, ref SegmentPlan plan)
    {
        const FastOpenFlags grants = FastOpenFlags.Pending | FastOpenFlags.Granting;
        if (t.C.Backoff > 0 || (t.K.FastOpen & grants) != grants) return default;
        var cookie = _fastOpenServer.KeysOf(_x.Listeners.Get(t.K.FastOpenListener.Index)).Make(t.C.Remote, t.C.Local);
        plan.Options.SetFastOpen(cookie.Length);
        return cookie;
    }
}
