// Readiness: poll's answer for a descriptor, and epoll with levels, edges and one-shots.
using System.Net.Sockets;
using Peregrine.Core.Tcp;

namespace Peregrine.Posix;

internal static class PosixPolling
{
    /// <summary>What is true of a descriptor now.</summary>
    internal static PosixEvents Ready(PosixSockets x, PosixSocket s)
    {
        if (s.Kind == PosixKind.Udp)
        {
            var waiting = s.IsBound && x.Stack.Udp.NextLength(s.Datagrams) >= 0;
            return PosixEvents.Out | (waiting ? PosixEvents.In : PosixEvents.None);
        }
        if (s.Kind != PosixKind.Tcp) return PosixEvents.None;
        if (s.Phase == PosixPhase.Listening) return x.Stack.Tcp.HasAcceptable(s.Listener) ? PosixEvents.In : PosixEvents.None;
        if (s.Phase == PosixPhase.Deferred) return PosixEvents.Out;
        if (!s.Connection.IsValid) return PosixEvents.Out | PosixEvents.HangUp;
        var status = x.Stack.Tcp.GetStatus(s.Connection);
        if (status.State is TcpState.SynSent or TcpState.SynReceived) return PosixEvents.None;
        var ready = PosixEvents.None;
        var ended = status.State is TcpState.Closed or TcpState.TimeWait;
        if (status.ReadableBytes >= s.Settings.ReceiveLowBytes || status.PeerClosed || s.ReadShut || ended) ready |= PosixEvents.In;
        if (status.PeerClosed || s.ReadShut || ended) ready |= PosixEvents.ReadHangUp;
        // Linux: announced is not there yet; the byte has to come.
        if (status.UrgentBytes > 0 && !PosixUrgent.IsTaken(s, status) && (x.Manners.IsFreeBsd || status.ReadableBytes >= status.UrgentBytes)) ready |= PosixEvents.Priority;
        if (status.IsRoomy && status.IsBelowUnsentLimit) ready |= PosixEvents.Out;
        if (s.WriteShut || ended) ready |= PosixEvents.Out;
        if (ended || ((status.PeerClosed || s.ReadShut) && s.WriteShut)) ready |= PosixEvents.HangUp;
        if ((status.Error != SocketError.Success && !s.ErrorTaken) || s.Notices.HasNotices || PosixTransfer.HasSoftError(x, s)) ready |= PosixEvents.Error;
        return ready;
    }

    /// <summary>Adds, changes or removes a watch.</summary>
    internal static PosixResult Control(PosixSockets x, long epoll, string operation, long fd, PosixWatch watch)
    {
        if (x.Get(epoll) is not { Kind: PosixKind.Epoll } e || x.Get(fd) is null) return PosixResult.Fail("EBADF");
        var known = e.Watches.ContainsKey((int)fd);
        switch (operation)
        {
            case "EPOLL_CTL_ADD" when known:
                return PosixResult.Fail("EEXIST");
            // epoll_ctl(2): no other events with it, and only when a descriptor is added.
            case "EPOLL_CTL_ADD" when watch.Exclusive && (watch.OneShot || (watch.Wanted & ~(PosixEvents.In | PosixEvents.Out | PosixEvents.Error | PosixEvents.HangUp)) != 0):
            case "EPOLL_CTL_MOD" when known && (watch.Exclusive || e.Watches[(int)fd].Exclusive):
                return PosixResult.Fail("EINVAL");
            case "EPOLL_CTL_ADD" or "EPOLL_CTL_MOD" when known || operation == "EPOLL_CTL_ADD":
                e.Watches[(int)fd] = watch;
                return PosixResult.Success;
            case "EPOLL_CTL_DEL" when known:
                e.Watches.Remove((int)fd);
                return PosixResult.Success;
            default:
                return PosixResult.Fail(operation is "EPOLL_CTL_MOD" or "EPOLL_CTL_DEL" ? "ENOENT" : "EINVAL");
        }
    }

    /// <summary>What an epoll instance has to report, at most so many.</summary>
    internal static List<(PosixEvents Events, long Data)> Wait(PosixSockets x, PosixSocket epoll, int countMax)
    {
        var found = new List<(PosixEvents, long)>();
        foreach (var (fd, watch) in epoll.Watches)
        {
            if (found.Count == countMax) break;
            if (watch.Disarmed || x.Get(fd) is not { } s) continue;
            // Errors and hang-ups are reported whether wanted or not.
            var ready = Ready(x, s) & (watch.Wanted | PosixEvents.Error | PosixEvents.HangUp);
            if (ready == PosixEvents.None)
            {
                watch.Told = PosixEvents.None;
                continue;
            }
            var edges = (s.InEdges, s.OutEdges, s.Notices.Edges);
            if (watch.EdgeTriggered && (ready & ~watch.Told) == 0 && !IsNewEdge(ready, watch.ToldAt, edges)) continue;
            (watch.Told, watch.ToldAt) = (ready, edges);
            watch.Disarmed = watch.OneShot;
            found.Add((ready, watch.Data));
        }
        return found;
    }

    private static bool IsNewEdge(PosixEvents ready, (int In, int Out, int Error) told, (int In, int Out, int Error) now) =>
        ((ready & PosixEvents.In) != 0 && told.In != now.In) || ((ready & PosixEvents.Out) != 0 && told.Out != now.Out)
        || ((ready & PosixEvents.Error) != 0 && told.Error != now.Error);
}
