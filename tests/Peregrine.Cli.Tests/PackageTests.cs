// The packages as a user gets them: each whole, and a program built from them alone.
using System.Diagnostics;
using System.IO.Compression;

namespace Peregrine.Cli.Tests;

public sealed class PackageTests
{
    private static readonly string[] s_libraries =
        ["Peregrine.Wire", "Peregrine.Core", "Peregrine.Drivers", "Peregrine.Sockets", "Peregrine", "Peregrine.Kestrel", "Peregrine.AspNetCore"];

    [Fact]
    public async Task AProgramBuiltFromThePackagesAloneRunsAndEachPackageIsWhole()
    {
        // Both targets must have been built, as ./test does; the inner loop's single one makes no package.
        Assert.SkipUnless(File.ReadAllText(Path.Combine(Tool.Root, "artifacts/obj/Peregrine.Core/project.assets.json")).Contains("net9.0", StringComparison.Ordinal), "not run: only one target was built");
        var start = new ProcessStartInfo(Path.Combine(Tool.Root, "eng/pack-and-try"), ["--no-build"]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment.Remove("PeregrineSingleTarget");
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, output + await errors);
        foreach (var name in s_libraries) CheckPackage(name);
    }

    private static void CheckPackage(string name)
    {
        var path = Assert.Single(Directory.GetFiles(Path.Combine(Tool.Root, "artifacts/packages"), $"{name}.0.*.nupkg"));
        using var package = ZipFile.OpenRead(path);
        var names = package.Entries.Select(static e => e.FullName).ToList();
        Assert.Contains("README.md", names);
        Assert.Contains($"lib/net10.0/{name}.dll", names);
        Assert.Contains($"lib/net10.0/{name}.xml", names);
        using var symbols = ZipFile.OpenRead(Path.ChangeExtension(path, ".snupkg"));
        Assert.Contains(symbols.Entries, e => e.FullName == $"lib/net10.0/{name}.pdb");
    }
}
