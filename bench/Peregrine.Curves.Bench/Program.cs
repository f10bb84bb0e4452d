// Our TCP and the kernel's over the same impaired wire, in four combinations: the numbers as CSV and pictures. bench/curves/run builds and starts it.
using System.Globalization;
using System.Net;
using Peregrine.Simulation.Curves;

namespace Peregrine.Curves.Bench;

internal static class Program
{
    private static async Task<int> Main(string[] arguments)
    {
        if (arguments is ["wire", var rtt, var rate, var queue, var loss, var reorder, var seed, .. var devices])
        {
            var options = new WireOptions(Number(rtt), Number(rate), (int)Number(queue), Number(loss), Number(reorder), (int)Number(seed));
            new Wire(options, devices).Run();
        }
        if (arguments is ["serve", var server, var at]) await Exchange.ServeAsync(Enum.Parse<End>(server), IPAddress.Parse(at)).ConfigureAwait(false);
        if (arguments is ["send", var client, var from, var to, var bytes, var count])
        {
            await Exchange.SendAsync(Enum.Parse<End>(client), IPAddress.Parse(from), IPAddress.Parse(to), (long)Number(bytes), (int)Number(count)).ConfigureAwait(false);
            return 0;
        }
        var isQuick = arguments.Contains("--quick");
        var names = arguments.Where(static a => !a.StartsWith("--", StringComparison.Ordinal)).ToArray();
        const string Folder = "docs/curves-linux";
        using var bed = new Bed();
        var all = new Catalogue(bed, isQuick).All;
        foreach (var name in names.Except(all.Keys))
        {
            Console.Error.WriteLine($"there is no curve '{name}'; there are: {string.Join(", ", all.Keys)}");
            return 2;
        }
        Directory.CreateDirectory(Folder);
        foreach (var (name, make) in all)
        {
            if (names.Length > 0 && !names.Contains(name)) continue;
            var curve = make();
            File.WriteAllText($"{Folder}/{name}.csv", curve.ToCsv());
            File.WriteAllText($"{Folder}/{name}.svg", SvgPlot.Draw(curve));
        }
        return 0;
    }

    private static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);
}
