// strftime(3) for --timestamps, in the C locale. Conversions that are not here are printed as they stand.
using System.Globalization;
using System.Text;

namespace Peregrine.Iperf3;

internal static class TimeFormat
{
    internal static string Print(string format, DateTimeOffset now)
    {
        var text = new StringBuilder();
        for (var i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length) text.Append(format[i]);
            else text.Append(Convert(format[++i], now));
        }
        return text.ToString();
    }

    private static string Convert(char conversion, DateTimeOffset now)
    {
        return conversion switch
        {
            'H' => Custom("HH"),
            'I' => Custom("hh"),
            'M' => Custom("mm"),
            'S' => Custom("ss"),
            'p' => Custom("tt"),
            'Y' => Custom("yyyy"),
            'y' => Custom("yy"),
            'm' => Custom("MM"),
            'd' => Custom("dd"),
            'e' => now.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2),
            'a' => Custom("ddd"),
            'A' => Custom("dddd"),
            'b' or 'h' => Custom("MMM"),
            'B' => Custom("MMMM"),
            'j' => now.DayOfYear.ToString("D3", CultureInfo.InvariantCulture),
            'z' => Custom("zzz").Replace(":", "", StringComparison.Ordinal),
            's' => now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture),
            'F' => Custom("yyyy-MM-dd"),
            'T' or 'X' => Custom("HH:mm:ss"),
            'R' => Custom("HH:mm"),
            'D' or 'x' => Custom("MM'/'dd'/'yy"),
            'c' => $"{Custom("ddd MMM")} {now.Day.ToString(CultureInfo.InvariantCulture),2} {Custom("HH:mm:ss yyyy")}",
            'n' => "\n",
            't' => "\t",
            '%' => "%",
            _ => "%" + conversion,
        };

        string Custom(string custom) => now.ToString(custom, CultureInfo.InvariantCulture);
    }
}
