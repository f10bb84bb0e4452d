// What must hold between the two ends of a connection, which only a world can see: an end knows no more of its peer than the peer has done.
using Peregrine.Core.Tcp;
using Peregrine.Simulation.Hosts;
using Peregrine.Wire;

namespace Peregrine.Simulation.Judges;

internal static class PeerJudge
{
    /// <summary>What does not agree, or null.</summary>
    public static string? Check(SimulatedHost host, TcbRef t)
    {
        ref var c = ref t.C;
        if (!TryFind(host, c, out var peer)) return null;
        ref var p = ref peer.C;
        if (c.Snd.Una.IsAfter(p.Rcv.Nxt)) return $"takes everything before {c.Snd.Una} for acknowledged, and the peer has received up to {p.Rcv.Nxt}";
        // RFC 7323 §2.3: the window of a SYN is not scaled; all others are multiples.
        if (!c.Snd.Wl1.IsAfter(p.Snd.Iss)) return null;
        if ((c.Snd.Wnd & ((1u << p.RcvScale) - 1)) != 0) return $"has taken a window of {c.Snd.Wnd}, and the peer's scale is {p.RcvScale}";
        var edge = c.Snd.Wl2 + c.Snd.Wnd;
        return edge.IsAfter(p.Rcv.Edge) ? $"takes {edge} for the edge of the window, and the peer has offered up to {p.Rcv.Edge}" : null;
    }

    // Both open with the same four numbers, and each within what the other has sent: then they are each other's.
    private static bool TryFind(SimulatedHost host, in Tcb c, out TcbRef peer)
    {
        peer = default;
        var other = host.World.HostAt(c.Remote);
        if (other is not { IsRunning: true } || c.State < TcpState.Established) return false;
        // A cookie is good more than once: a second copy of the ACK that answered it opens the connection again after a reset, with the same numbers.
        if (other.Stack.Tcp.Counters.SynCookiesAccepted > 0) return false;
        if (!other.Judge.Connections.TryFind(c.Remote, c.RemotePort, c.Local, c.LocalPort, out peer) || peer.C.State < TcpState.Established) return false;
        return IsWithin(peer.C.Rcv.Nxt, c.Snd.Iss, c.Snd.Max) && IsWithin(c.Rcv.Nxt, peer.C.Snd.Iss, peer.C.Snd.Max);
    }

    private static bool IsWithin(SeqNumber next, SeqNumber iss, SeqNumber max) => next.IsAfter(iss) && next.IsBeforeOrEqual(max);
}
