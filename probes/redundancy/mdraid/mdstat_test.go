package mdraid

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMdstatAlone(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want map[string]string
	}{
		"arrays of all kinds, none of which hides another": {
			text: `Personalities : [raid1] [raid6] [raid5] [raid4] [raid0] [raid10] [linear]
md9 : inactive sdx1[1]

md0 : active raid1 sdb1[1] sda1[0](W)
      1046528 blocks super 1.2 [2/2] [UU]
      bitmap: 0/1 pages [0KB], 65536KB chunk

md1 : active raid1 sdb2[2] sda2[0](F)
      1046528 blocks super 1.2 [2/1] [_U]
      [==>..................]  recovery = 12.6% (132096/1046528) finish=0.1min speed=132096K/sec

md2 : active (auto-read-only) raid5 sde1[3] sdd1[1] sdc1[0] sdf1[4](S) sdj1[5](J)
      2093056 blocks super 1.2 level 5, 512k chunk, algorithm 2 [3/3] [UUU]
      	resync=PENDING

md3 : active raid10 sdd[3] sdc[2] sdb[1]
      45056 blocks super 1.2 512K chunks 2 near-copies [4/3] [_UUU]

md4 : active raid0 sdh1[1] sdg1[0]
      2093056 blocks super 1.2 512k chunks

md5 : broken raid0 sdk1[1](F) sdl1[0]
      2093056 blocks super 1.2 512k chunks

md6 : active raid6 sd4[3] sd3[2] sd2[1] sd1[0]
      2093056 blocks super 1.2 level 6, 512k chunk, algorithm 2 [4/4] [UUUU]
      [>....................]  repair =  1.0% (1/100) finish=1min speed=1K/sec

md7 : active raid1 sdq[1] sdr[0]
      1 blocks super 1.2 [2/2] [UU]
      	resync=REMOTE

md8 : active raid10 a[0] b[1] c[2] d[3]
      45056 blocks super 1.2 512K chunks 2 far-copies [4/2] [U_U_]

md127 : inactive sdn[1](S) sdm[0](S)
      5032 blocks super external:imsm

md126 : active raid1 sdn[1] sdm[0]
      1 blocks super external:/md127/0 [2/2] [UU]

unused devices: <none>
`,
			want: map[string]string{
				"md9": "? 0/0 failed",
				"md0": "1/1 2/2", "md1": "0/1 1/2 rebuilding 0.13", "md2": "1/1 3/3 spares=1 resync", "md3": "0/1 3/4",
				"md4": "0/0 2/2", "md5": "0/0 1/1 failed", "md6": "2/2 4/4 check 0.01", "md7": "1/1 2/2 resync",
				"md8": "0/1 2/4", "md126": "1/1 2/2",
			},
		},
		"a member that is rebuilt is not active": {
			"md1 : active raid5 c[4] b[1] a[0]\n      1 blocks [3/2] [UU_]\n",
			map[string]string{"md1": "0/1 2/3"},
		},
		"what does not fit together is not understood": {
			"md1 : active raid1 b[1] a[0]\n      1 blocks [2/2] [UUU]\nmd2 : odd raid1 a[0]\n",
			map[string]string{"md1": "1/1 2/2 unclear", "md2": "0/0 1/1 unclear"},
		},
		"the array of a vendor that writes something else": {
			"sbName=/boot/config/super.dat\nmdState=STARTED\nmdNumDisks=4\n",
			map[string]string{},
		},
	} {
		got := map[string]string{}
		for _, line := range ParseStat([]byte(c.text)) {
			if g, is := line.Group(); is {
				got[line.Name] = brief(g)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A line stands alone: what comes before it changes nothing about it.
func FuzzParseStat(f *testing.F) {
	f.Add("md1 : active raid5 c[4](S) b[1](W)(F) a[0]\n      1 blocks [3/2] [UU_]\n      [==>.]  recovery = 12.6% (1/2)\n")
	f.Add("md8 : active raid10 a[0]\n  2 far-copies 3 near-copies [4/2] [U_U_]\n  resync=DELAYED\n")
	f.Add("md127 : inactive sdn[1](S)\n      5032 blocks super external:imsm\n")
	f.Fuzz(func(t *testing.T, text string) {
		const whole = "\nmd0 : active raid1 b[1] a[0]\n      1 blocks [2/2] [UU]\n"
		lines := ParseStat([]byte(text + whole))
		if len(lines) == 0 {
			t.Fatal("an array is hidden")
		}
		g, is := lines[len(lines)-1].Group()
		if !is || brief(g) != "1/1 2/2" {
			t.Errorf("a whole array is %s behind %q", brief(g), text)
		}
		for _, line := range lines {
			if g, is := line.Group(); is && g.Err == nil && g.Known && g.Tolerated > g.Design {
				t.Errorf("%+v survives %d of %d", line, g.Tolerated, g.Design)
			}
		}
	})
}
