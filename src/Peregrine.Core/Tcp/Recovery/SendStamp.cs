// What a transmission's record keeps of the moment at which it is sent.
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Recovery;

/// <summary>When, and for rate estimation with how much in flight (itself included) and how much found lost in all.</summary>
internal readonly record struct SendStamp(Instant At, uint TxInFlight, uint Lost);
