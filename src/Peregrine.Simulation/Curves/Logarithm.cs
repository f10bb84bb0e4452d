// The decimal logarithm by multiplications alone, which every machine rounds alike. For places on an axis, so seven digits are plenty.
namespace Peregrine.Simulation.Curves;

internal static class Logarithm
{
    private const int BitCount = 24;
    private const double DecimalsPerBit = 0.301029995663981195;

    /// <summary>The decimal logarithm of a positive number.</summary>
    public static double Base10(double value)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value);
        var bits = 0.0;
        for (; value >= 2; value /= 2) bits++;
        for (; value < 1; value *= 2) bits--;
        // A number's square has twice its logarithm: each squaring brings one more binary digit to the front.
        var weight = 0.5;
        for (var i = 0; i < BitCount; i++, weight /= 2)
        {
            value *= value;
            if (value < 2) continue;
            value /= 2;
            bits += weight;
        }
        return bits * DecimalsPerBit;
    }
}
