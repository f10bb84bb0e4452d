// Project files against the drawing: references, packages, the solution's list, versions with reasons. Reads XML, not code.
using System.Xml.Linq;

namespace Peregrine.Tidy;

public sealed class RoomTests
{
    private static readonly string[] MarkupOfPins = ["PackageVersion", "GlobalPackageReference"];

    [Fact]
    public void EveryRoomIsDrawn() =>
        Findings.ExpectNone(
            RoomProjects().Where(path => Rooms.Find(NameOf(path)) is null).Select(path => $"{path} is not in Rooms.cs"),
            "A project under src/ must be drawn in Rooms.cs and ARCHITECTURE.md.");

    [Fact]
    public void ProjectsReferenceOnlyWhatIsDrawn() =>
        Findings.ExpectNone(
            from path in RoomProjects()
            let room = Rooms.Find(NameOf(path))
            where room is not null
            from target in Items(path, "ProjectReference").Select(include => NameOf(include))
            where !room.References.Contains(target)
            select $"{path} references {target}",
            "Arrows between rooms are those of Rooms.cs.");

    [Fact]
    public void NoPackageStandsBelowTheHost() =>
        Findings.ExpectNone(
            from path in RoomProjects()
            let room = Rooms.Find(NameOf(path))
            where room is not null && !room.MayUsePackages
            from package in Items(path, "PackageReference")
            select $"{path} references the package {package}",
            "Wire, Core, Drivers, Sockets, Simulation, Kestrel and Native stand on the run time alone.");

    [Fact]
    public void OnlyTheEdgeUsesAspNetCore() =>
        Findings.ExpectNone(
            from path in RoomProjects()
            let room = Rooms.Find(NameOf(path))
            where room is not null && !room.MayUseAspNetCore
            from framework in Items(path, "FrameworkReference")
            select $"{path} references the framework {framework}",
            "Framework references are for the rooms that Rooms.cs allows them.");

    [Fact]
    public void SolutionListsEveryProject()
    {
        var listed = XDocument.Parse(Repository.Read("Peregrine.slnx")).Descendants("Project").Select(p => (string)p.Attribute("Path")!).ToHashSet();
        Findings.ExpectNone(
            // samples/outside is built from packages, as a user builds it, and so stands outside.
            Repository.Projects().Where(path => !path.StartsWith("samples/outside/", StringComparison.Ordinal) && !listed.Contains(path))
                .Select(path => $"{path} is not in Peregrine.slnx")
                .Concat(listed.Where(path => !Repository.Exists(path)).Select(path => $"Peregrine.slnx names {path}, which does not exist")),
            "The solution and the folders agree.");
    }

    [Fact]
    public void EveryPinnedVersionHasAReason()
    {
        var document = XDocument.Parse(Repository.Read("Directory.Packages.props"), LoadOptions.PreserveWhitespace);
        Findings.ExpectNone(
            document.Descendants().Where(e => MarkupOfPins.Contains(e.Name.LocalName))
                // One comment may serve the lines that follow it without a break.
                .Where(e => e.NodesBeforeSelf().Reverse().TakeWhile(n => n is not XText text || text.Value.Count(c => c == '\n') < 2).All(n => n is not XComment))
                .Select(e => $"{(string?)e.Attribute("Include")} has no comment above it"),
            "A version in Directory.Packages.props has its reason in a comment above it, with no empty line between.");
    }

    [Fact]
    public void NoProjectPinsAVersionItself() =>
        Findings.ExpectNone(
            from path in Repository.Projects()
            where !path.StartsWith("samples/outside/", StringComparison.Ordinal)
            from reference in Load(path).Descendants("PackageReference")
            where reference.Attribute("Version") is not null || reference.Attribute("VersionOverride") is not null
            select $"{path}: {(string?)reference.Attribute("Include")}",
            "Versions stand in Directory.Packages.props.");

    internal static IEnumerable<string> RoomProjects() => Repository.Projects().Where(path => path.StartsWith("src/", StringComparison.Ordinal));

    private static XDocument Load(string path) => XDocument.Parse(Repository.Read(path));

    private static IEnumerable<string> Items(string path, string item) =>
        Load(path).Descendants(item).Select(e => (string?)e.Attribute("Include")).OfType<string>();

    private static string NameOf(string path) => Path.GetFileNameWithoutExtension(path.Replace('\\', '/'));
}
