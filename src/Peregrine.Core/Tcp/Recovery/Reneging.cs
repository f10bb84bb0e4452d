// A peer that takes back what it has reported by SACK (RFC 2018 §8 lets it). It shows when an ACK stops before a segment that was reported: such a
// peer soon says more, or everything has to go again, which Linux does not leave to a full time-out (TcpSettings.PacketWindow); RFC 6298 §5 lets
// nothing go again before that.
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Recovery;

internal static class Reneging
{
    // Half a round trip, and not less than this.
    private static readonly Duration s_least = Duration.FromMilliseconds(10);

    /// <summary>Whether the ACK that has just moved on shows it.</summary>
    internal static bool Shows(in RecoveryState r, Scoreboard board) => r.Head != RecordPool.None && board[r.Head].IsSacked;

    /// <summary>How long the peer has.</summary>
    internal static Duration Wait(in RttState rtt) => Duration.Max(Duration.FromMicroseconds(rtt.Srtt >> 4), s_least);
}
