// The most of what was seen over the last rounds: the candidates that can still become the maximum, greatest and oldest first. Three are
// kept; a fourth takes the youngest's place, which can only make the answer too large for some rounds, never too small.
namespace Peregrine.Core.Tcp.Congestion.Bbr;

internal struct BbrMaxFilter
{
    private uint _first;
    private uint _second;
    private uint _third;
    private uint _firstAt;
    private uint _secondAt;
    private uint _thirdAt;

    /// <summary>The maximum as of the last sample.</summary>
    internal readonly uint Value => _first;

    /// <summary>Takes a sample; what is as many rounds old as the window is long no longer counts.</summary>
    internal void Take(uint value, uint round, uint length)
    {
        for (var i = 0; i < 2 && _first != 0 && round - _firstAt >= length; i++) DropFirst();
        if (_first == 0 || value >= _first || round - _firstAt >= length)
        {
            (_first, _firstAt) = (value, round);
            (_second, _third) = (0, 0);
        }
        else if (value >= _second)
        {
            (_second, _secondAt) = (value, round);
            _third = 0;
        }
        else if (value >= _third || round != _thirdAt)
        {
            (_third, _thirdAt) = (Math.Max(value, _third), round);
        }
    }

    private void DropFirst()
    {
        (_first, _firstAt) = (_second, _secondAt);
        (_second, _secondAt) = (_third, _thirdAt);
        _third = 0;
    }
}
