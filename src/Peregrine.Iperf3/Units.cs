// Amounts as iperf3 reads and prints them: bytes by 1024, bits a second by 1000, four significant places.
using System.Globalization;

namespace Peregrine.Iperf3;

internal static class Units
{
    private static readonly string[] s_prefixes = ["", "K", "M", "G", "T"];

    /// <summary>An amount of bytes: "1.23 GBytes".</summary>
    internal static string Bytes(double bytes) => Print(bytes, 1024, "Bytes", -1);

    /// <summary>A rate without its "/sec": bits by default or by a lower-case format, bytes by an upper-case one.</summary>
    internal static string Rate(double bytesPerSecond, char format)
    {
        var fixedPrefix = "kmgt".IndexOf(char.ToLowerInvariant(format), StringComparison.Ordinal);
        return char.IsUpper(format) ? Print(bytesPerSecond, 1024, "Bytes", fixedPrefix + 1) : Print(bytesPerSecond * 8, 1000, "bits", fixedPrefix < 0 ? -1 : fixedPrefix + 1);
    }

    /// <summary>What printf's %.2g makes of a number.</summary>
    internal static string TwoDigits(double value)
    {
        if (value == 0) return "0";
        var exponential = value.ToString("e1", CultureInfo.InvariantCulture);
        var exponent = int.Parse(exponential[(exponential.IndexOf('e', StringComparison.Ordinal) + 1)..], CultureInfo.InvariantCulture);
        if (exponent is >= -4 and < 2) return decimal.Parse(exponential, NumberStyles.Float, CultureInfo.InvariantCulture).ToString("0.######", CultureInfo.InvariantCulture);
        var mantissa = exponential[..exponential.IndexOf('e', StringComparison.Ordinal)].Replace(".0", "", StringComparison.Ordinal);
        return string.Create(CultureInfo.InvariantCulture, $"{mantissa}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}");
    }

    /// <summary>Reads "10M": a number with a suffix of k, m, g or t.</summary>
    /// <param name="text">The text.</param>
    /// <param name="step">1024 for amounts, 1000 for rates.</param>
    /// <param name="value">What it says.</param>
    internal static bool TryParse(ReadOnlySpan<char> text, int step, out double value)
    {
        var power = text.Length == 0 ? -1 : "kmgt".IndexOf(char.ToLowerInvariant(text[^1]), StringComparison.Ordinal);
        if (power >= 0) text = text[..^1];
        if (!double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value) || !double.IsFinite(value)) return false;
        for (; power >= 0; power--) value *= step;
        return true;
    }

    private static string Print(double value, int step, string unit, int prefix)
    {
        if (prefix < 0)
        {
            for (prefix = 0; value >= step && prefix < s_prefixes.Length - 1; prefix++) value /= step;
        }
        else
        {
            for (var i = 0; i < prefix; i++) value /= step;
        }
        var digits = value < 9.995 ? "F2" : value < 99.95 ? "F1" : "F0";
        return value.ToString(digits, CultureInfo.InvariantCulture).PadLeft(4) + " " + s_prefixes[prefix] + unit;
    }
}
