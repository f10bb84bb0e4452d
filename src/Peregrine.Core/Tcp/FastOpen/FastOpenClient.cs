// The client's side of RFC 7413 §4.2: what its SYN carries, and what the SYN-ACK says about cookie and data. Data of a SYN are not in the
// scoreboard: what is not acknowledged with the SYN goes again at once, as if for the first time.
using Peregrine.Core.Ip;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.FastOpen;

internal sealed class FastOpenClient(TcpContext context, FastOpenCache cache)
{
    // Room for all options in a SYN, so that a box on the path which adds some does not make it too large.
    private const int OptionsMax = TcpOptions.LengthMax;
    private const int LossesMin = 2;
    private const int LossesMax = 8;

    private readonly TcpContext _x = context;

    internal FastOpenCache Cache { get; } = cache;

    /// <summary>Whether a connection that wants it takes part: not where it went wrong lately.</summary>
    internal bool MayTry(in IpAddress remote, TcpSettings settings, Instant now)
    {
        if (!settings.FastOpenConnect) return false;
        return !Cache.TryFind(remote, out var entry) || now >= entry.DisabledUntil;
    }

    /// <summary>How many bytes a SYN to that server can carry now; 0 where a cookie has to be asked for first.</summary>
    internal int RoomFor(in IpAddress remote, in FlowPath path, TcpSettings settings, Instant now)
    {
        if (!MayTry(remote, settings, now)) return 0;
        var isKnown = Cache.TryFind(remote, out var entry);
        return settings.FastOpenWithoutCookie || (isKnown && entry.Cookie.Length > 0) ? RoomFor(remote, entry.Mss, path, settings) : 0;
    }

    // RFC 7413 §4.2.2: data up to the cached MSS.
    private static int RoomFor(in IpAddress remote, ushort mss, in FlowPath path, TcpSettings settings)
    {
        var most = TcpHandshake.AnnouncedMss(remote, path, settings);
        return Math.Max(0, (mss == 0 ? most : Math.Min(most, mss)) - OptionsMax);
    }

    /// <summary>The first SYN: adds the option, and says how many bytes of the queue go with it.</summary>
    internal FastOpenCookie Plan(TcbRef t, ref SegmentPlan plan, out int dataLength)
    {
        ref var c = ref t.C;
        dataLength = 0;
        var settings = _x.SettingsOf(t);
        Cache.TryFind(c.Remote, out var entry);
        if (!settings.FastOpenWithoutCookie)
        {
            var asksByExperiment = settings.FastOpenExperimental && entry.Unanswered == 1;
            var options = plan.Options;
            options.SetFastOpen(entry.Cookie.Length, entry.Cookie.Length > 0 ? entry.IsExperimental : asksByExperiment);
            // RFC 7413 §4.2.2 1a: no room in the options, no fast open.
            if (options.EncodedLength > TcpOptions.LengthMax)
            {
                t.K.FastOpen = FastOpenFlags.None;
                return default;
            }
            plan.Options = options;
            if (entry.Cookie.Length == 0)
            {
                _x.Details?.OnFastOpenFailed(_x.Tcbs.IndexOf(t), TcpFastOpenFailure.NoCookie);
                return default;
            }
        }
        t.K.FastOpen |= FastOpenFlags.Used;
        dataLength = (int)Math.Min((uint)RoomFor(c.Remote, entry.Mss, c.Path, settings), c.SendQueue.Length);
        if (dataLength > 0) _x.Recovery.Counters.TCPFastOpenActive++;
        // Until the SYN-ACK says it anew, the server's MSS is what it was.
        c.Mss = (ushort)Math.Max(c.Mss, dataLength);
        return settings.FastOpenWithoutCookie ? default : entry.Cookie;
    }

    /// <summary>The SYN-ACK has come and our SYN is acknowledged.</summary>
    /// <returns>Bytes of the SYN's data that are acknowledged with it.</returns>
    internal uint OnSynAck(TcbRef t, in SegmentArrival s, in ReceivedPacket packet, Instant now, out uint left)
    {
        ref var c = ref t.C;
        var sent = (uint)(c.Snd.Max - c.Snd.Nxt);
        var acked = (uint)Math.Max(0, s.Ack - (c.Snd.Iss + 1));
        // What was not taken goes like data that never went, unless recovery takes it for lost.
        c.Snd.Max = c.Snd.Nxt;
        if (sent > 0 && acked == sent) t.K.FastOpen |= FastOpenFlags.DataTaken;
        // What goes again is no answer to the SYN-ACK.
        if (sent > acked) c.Acks.HasHeard = false;
        if (sent > 0 && acked == 0)
        {
            _x.Recovery.Counters.TCPFastOpenActiveFail++;
            if ((t.K.FastOpen & FastOpenFlags.Client) != 0) _x.Details?.OnFastOpenFailed(_x.Tcbs.IndexOf(t), TcpFastOpenFailure.DataNotAcknowledged);
        }
        // RFC 7413 §4.2.1 step 3: a SYN-ACK that answers a plain SYN says nothing about cookies.
        if ((t.K.FastOpen & FastOpenFlags.Client) != 0) Remember(t, s, packet, isRefused: sent > acked && acked == 0, now);
        left = sent - Math.Min(acked, sent);
        return Math.Min(acked, sent);
    }

    private void Remember(TcbRef t, in SegmentArrival s, in ReceivedPacket packet, bool isRefused, Instant now)
    {
        var settings = _x.SettingsOf(t);
        ref var entry = ref Cache.Open(t.C.Remote);
        if (s.Options.HasMss) entry.Mss = s.Options.Mss;
        entry.Losses = 0;
        if (settings.FastOpenWithoutCookie) return;
        if (s.Options.HasFastOpen && s.Options.FastOpenCookieLength > 0)
        {
            entry.Cookie = new FastOpenCookie(FastOpenServer.CookieOf(_x, s, packet));
            entry.IsExperimental = s.Options.IsFastOpenExperimental;
            entry.Unanswered = 0;
            return;
        }
        var isUnanswered = entry.Cookie.Length == 0;
        if (isUnanswered && entry.Unanswered < 2) entry.Unanswered++;
        // RFC 7413 §4.1.3.1: negative responses are remembered.
        if (isUnanswered || isRefused) entry.DisabledUntil = now + Duration.FromSeconds(_x.Options.FastOpenDisableSeconds);
    }

    /// <summary>RFC 7413 §4.1.3.1: a SYN with cookie or data had no answer in time; from the second on the server is left alone for a while.</summary>
    internal void OnSynTimeout(TcbRef t, Instant now)
    {
        var isUsed = (t.K.FastOpen & FastOpenFlags.Used) != 0;
        if ((t.K.FastOpen & FastOpenFlags.Client) != 0) _x.Details?.OnFastOpenFailed(_x.Tcbs.IndexOf(t), TcpFastOpenFailure.SynRepeated);
        t.K.FastOpen &= ~FastOpenFlags.Client;
        if (!isUsed) return;
        ref var entry = ref Cache.Open(t.C.Remote);
        if (entry.Losses < LossesMax) entry.Losses++;
        if (entry.Losses < LossesMin) return;
        entry.DisabledUntil = now + Duration.FromSeconds(60L << entry.Losses);
        _x.Recovery.Counters.TCPFastOpenBlackhole++;
    }
}
