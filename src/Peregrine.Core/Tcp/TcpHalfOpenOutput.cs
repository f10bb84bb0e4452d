// What is sent for a connection in SYN-RECEIVED that has a record and no TCB: its SYN-ACK, an ACK in the place of what was refused, a reset.
// Who has a TCB is TcpSynOutput's.
using Peregrine.Core.Tcp.Authentication;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed class TcpHalfOpenOutput(TcpContext context, TcpSegmentWriter writer, FastOpenServer fastOpen)
{
    private readonly TcpContext _x = context;
    private readonly TcpSegmentWriter _writer = writer;
    private readonly FastOpenServer _fastOpen = fastOpen;

    /// <summary>The SYN-ACK again: its time-out has come, or the SYN again.</summary>
    internal void SendSynAckAgain(ref SynRecord record, Instant now)
    {
        record.SentAgain++;
        _x.CountSynAgain();
        SendSynAck(ref record, now);
    }

    /// <summary>The SYN-ACK of a record of the backlog.</summary>
    internal void SendSynAck(ref SynRecord record, Instant now)
    {
        if (_x.Listeners.Get(record.Listener) is { } entry) SendSynAck(ref record, now.Milliseconds + record.TsOffset, _x.Settings[entry.Settings], now);
    }

    /// <summary>The SYN-ACK with a timestamp of its own, which a cookie has.</summary>
    internal void SendSynAck(ref SynRecord record, uint stamp, TcpSettings settings, Instant now)
    {
        var plan = new SegmentPlan
        {
            Seq = record.Iss,
            Ack = record.Irs + 1,
            Flags = TcpFlags.Syn | TcpFlags.Ack,
            // RFC 9293 SHLD-14: what the first has promised, though the path's MTU may have changed since.
            Window = (ushort)record.RcvWnd,
        };
        TcpEcn.OnSynAckPlan(ref record, settings, SignerOf(record) is not null, ref plan);
        plan.Options.IsPacked = settings.PackedSynOptions;
        plan.Options.Mss = TcpHandshake.AnnouncedMss(record.Local, record.Path, settings, OverheadOf(record));
        if ((record.Flags & SynFlags.Timestamps) != 0) plan.Options.SetTimestamps(stamp, record.TsRecent);
        if ((record.Flags & SynFlags.Sack) != 0) plan.Options.SackPermitted = true;
        if ((record.Flags & SynFlags.WindowScale) != 0) plan.Options.WindowScale = new WindowScale(TcpWindow.ScaleFor(settings.ReceiveBufferBytesMax));
        var cookie = default(FastOpenCookie);
        if ((record.Flags & SynFlags.FastOpen) != 0)
        {
            cookie = _fastOpen.KeysOf(_x.Listeners.Get(record.Listener)).Make(record.Remote, record.Local);
            plan.Options.SetFastOpen(cookie.Length, (record.Flags & SynFlags.FastOpenExperimental) != 0);
        }
        _writer.TrySendBare(record.Local, record.LocalPort, record.Remote, record.RemotePort, plan, ref record.Path, now, cookie, signer: SignerOf(record), marks: SegmentMarks.Of(settings));
    }

    /// <summary>The window of our SYN-ACK, which is not scaled.</summary>
    internal uint FirstWindow(in SynRecord record, TcpSettings settings) => Math.Min(ushort.MaxValue, TrueSizeWindow.First(settings,
        TcpHandshake.AnnouncedMss(record.Local, record.Path, settings, OverheadOf(record)) - ((record.Flags & SynFlags.Timestamps) != 0 ? TcpOptions.TimestampsLength : 0)));

    private int OverheadOf(in SynRecord record) =>
        _x.Encapsulation.PortOf(record.Local, record.LocalPort, record.Remote, record.RemotePort) != 0 ? _x.Encapsulation.Overhead : 0;

    /// <summary>RFC 5961 §5, RFC 9293 §3.10.7.4: an ACK in the place of what was refused.</summary>
    internal void SendAck(in SynRecord record, Instant now)
    {
        var plan = new SegmentPlan
        {
            Seq = record.Iss + 1,
            Ack = record.Irs + 1,
            Flags = TcpFlags.Ack,
            Window = (ushort)Math.Min(record.RcvWnd >> record.RcvScale, ushort.MaxValue),
        };
        if ((record.Flags & SynFlags.Timestamps) != 0) plan.Options.SetTimestamps(now.Milliseconds + record.TsOffset, record.TsRecent);
        if (TrySend(record, plan, now)) _x.Counters.ChallengeAcksSent++;
    }

    /// <summary>The listener goes, or the peer has broken off: nothing will come of it.</summary>
    internal void SendReset(in SynRecord record, Instant now)
    {
        var plan = new SegmentPlan { Seq = record.Iss + 1, Ack = record.Irs + 1, Flags = TcpFlags.Rst | TcpFlags.Ack };
        if (TrySend(record, plan, now)) _x.Counters.ResetsSent++;
    }

    private bool TrySend(in SynRecord record, in SegmentPlan plan, Instant now)
    {
        var path = record.Path;
        return _writer.TrySendBare(record.Local, record.LocalPort, record.Remote, record.RemotePort, plan, ref path, now, signer: SignerOf(record), marks: SegmentMarks.Of(_x.SettingsOf(record)));
    }

    internal TcpAuthentication? SignerOf(in SynRecord record) => _x.Authenticator?.OfHalfOpen(record);
}
