// The high half of a 64-bit sequence number that TCP-AO infers (RFC 5925 §6.2), by comparing with the highest number so far instead of by flags:
// windows are less than half of the space, so a number belongs to the turn in which it is nearest to that.
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Authentication;

/// <summary>One direction's extension. Begins at zero with the initial sequence number.</summary>
internal struct SequenceExtension(SeqNumber isn)
{
    private SeqNumber _highest = isn;
    private uint _turn;

    /// <summary>The extension of a number.</summary>
    internal readonly uint Of(SeqNumber number)
    {
        var isLater = number.IsAfter(_highest);
        if (isLater && number.Value < _highest.Value) return _turn + 1;
        if (!isLater && number.Value > _highest.Value) return _turn - 1;
        return _turn;
    }

    /// <summary>The number has been used by whoever has the key.</summary>
    internal void Advance(SeqNumber number)
    {
        if (!number.IsAfter(_highest)) return;
        _turn = Of(number);
        _highest = number;
    }
}
