// R2 of RFC 9293 §3.8.3 as Linux has it (tcp_retries2, tcp_orphan_retries, TCP_USER_TIMEOUT), where TcpSettings.RetryCount is in force: time is counted from the
// first time-out that found nothing acknowledged, or from the first probe of a closed window, not from when something was sent. A user time-out that somebody
// chose ends the connection when it has passed; numbers of retries stand for the time that they would take from the least time-out, and end it at the time-out
// that finds it passed. Without the setting, the limit is UserTimeoutMs after sending, with TcpTimers.
using System.Net.Sockets;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp;

internal static class RetryLimit
{
    /// <summary>R1 (tcp_retries1).</summary>
    private const int FirstRetryCount = 3;

    internal static bool Is(TcpSettings settings) => settings is { PacketSender: true, RetryCount: > 0 };

    /// <summary>Somebody chose a user time-out; numbers of retries say nothing then.</summary>
    internal static bool IsChosen(TcpSettings settings) => settings.UserTimeoutMs != TcpSettings.Default.UserTimeoutMs;

    /// <summary>A SYN goes: what the user chose is its limit, but it goes a second time in any case.</summary>
    internal static Deadline OfOpen(TcpContext x, TcpSettings settings, Instant now)
    {
        if (settings.ConnectTimeoutMs != 0) return Deadline.At(now + Duration.FromMilliseconds(settings.ConnectTimeoutMs));
        if (!Is(settings) || !IsChosen(settings)) return Deadline.None;
        return Deadline.At(now + Duration.Max(Duration.FromMilliseconds(settings.UserTimeoutMs), x.Recovery.Settings.RtoInitial + Duration.FromMilliseconds(1)));
    }

    /// <summary>The retransmission timer has come, or a closed window is probed: counts from now, unless it has been counting.</summary>
    internal static void Start(TcpContext x, TcbRef t, Instant now)
    {
        if (!t.K.UserTimeout.IsSet && Is(x.SettingsOf(t))) t.K.UserTimeout = Deadline.At(now + Limit(x, t));
    }

    /// <summary>The limit's deadline has come. Not chosen, it waits for the time-out that runs; false.</summary>
    internal static bool IsOver(TcpContext x, TcbRef t, Instant now)
    {
        ref var k = ref t.K;
        if (IsChosen(x.SettingsOf(t)) || !k.Retransmission.IsSet || k.Retransmission.IsDue(now)) return true;
        k.UserTimeout = k.Retransmission;
        return false;
    }

    /// <summary>Whether so many probes of a closed window were answered by nothing that no more go.</summary>
    internal static bool IsProbedOut(TcpContext x, TcbRef t) => !IsChosen(x.SettingsOf(t)) && t.K.ProbesSent >= CountOf(x, t);

    /// <summary>Nobody is left to wait: fewer retries are enough.</summary>
    internal static void OnOrphaned(TcpContext x, TcbRef t, Instant now)
    {
        var settings = x.SettingsOf(t);
        ref var k = ref t.K;
        if (!Is(settings) || IsChosen(settings) || !k.UserTimeout.IsSet) return;
        k.UserTimeout = Deadline.At(Instant.Max(now, k.UserTimeout.ToInstant(now) - (TimeOf(x, settings.RetryCount) - TimeOf(x, settings.OrphanRetryCount))));
        x.Arm(t, k.UserTimeout);
    }

    /// <summary>Whether R1 has passed: asked at a time-out.</summary>
    internal static bool IsFirstLimitOver(TcpContext x, TcbRef t, Instant now)
    {
        if (!Is(x.SettingsOf(t))) return t.C.Backoff >= FirstRetryCount;
        return t.K.UserTimeout.IsSet && t.K.UserTimeout.ToInstant(now) - (Limit(x, t) - TimeOf(x, FirstRetryCount)) <= now;
    }

    private static Duration Limit(TcpContext x, TcbRef t) =>
        IsChosen(x.SettingsOf(t)) ? Duration.FromMilliseconds(x.SettingsOf(t).UserTimeoutMs) : TimeOf(x, CountOf(x, t));

    private static int CountOf(TcpContext x, TcbRef t) => (t.C.Flags & TcbFlags.Orphan) != 0 ? x.SettingsOf(t).OrphanRetryCount : x.SettingsOf(t).RetryCount;

    // The time that so many doublings of Linux's least time-out take, up to the largest (ip-sysctl: 15 are 924.6 seconds).
    private static Duration TimeOf(TcpContext x, int retries)
    {
        var (least, most) = (Duration.FromMilliseconds(200), x.Recovery.Settings.RtoMax);
        var doublings = System.Numerics.BitOperations.Log2((uint)Math.Max(1, most.Nanoseconds / least.Nanoseconds));
        return retries <= doublings ? least * ((2L << retries) - 1) : (least * ((2L << doublings) - 1)) + (most * (retries - doublings));
    }
}
