"""Districts, thanas and quarters of Bangladesh in both scripts, as people write them. PURE."""

from __future__ import annotations

from gateway.redact.bangla_words import plain
from gateway.redact.vocabulary import words

DISTRICTS = words(
    plain(
        "বাগেরহাট বান্দরবান বরগুনা বরিশাল ভোলা বগুড়া ব্রাহ্মণবাড়িয়া চাঁদপুর চাঁপাইনবাবগঞ্জ চট্টগ্রাম"
        " চুয়াডাঙ্গা কুমিল্লা কক্সবাজার ঢাকা দিনাজপুর ফরিদপুর ফেনী গাইবান্ধা গাজীপুর গোপালগঞ্জ হবিগঞ্জ"
        " জামালপুর যশোর ঝালকাঠি ঝিনাইদহ জয়পুরহাট খাগড়াছড়ি খুলনা কিশোরগঞ্জ কুড়িগ্রাম কুষ্টিয়া লক্ষ্মীপুর"
        " লালমনিরহাট মাদারীপুর মাগুরা মানিকগঞ্জ মেহেরপুর মৌলভীবাজার মুন্সিগঞ্জ মুন্সীগঞ্জ ময়মনসিংহ নওগাঁ"
        " নড়াইল নারায়ণগঞ্জ নরসিংদী নাটোর নেত্রকোনা নেত্রকোণা নীলফামারী নোয়াখালী পাবনা পঞ্চগড় পটুয়াখালী"
        " পিরোজপুর রাজবাড়ী রাজবাড়ি রাজশাহী রাঙামাটি রাঙ্গামাটি রংপুর সাতক্ষীরা শরীয়তপুর শেরপুর সিরাজগঞ্জ"
        " সুনামগঞ্জ সিলেট টাঙ্গাইল ঠাকুরগাঁও"
    )
) | words(
    (
        "Bagerhat Bandarban Barguna Barisal Barishal Bhola Bogra Bogura Brahmanbaria Chandpur Chapainawabganj"
        " Chittagong Chattogram Ctg Chuadanga Comilla Cumilla Dhaka Dinajpur Faridpur Feni Gaibandha Gazipur"
        " Gopalganj Habiganj Jamalpur Jashore Jessore Jhalokati Jhenaidah Joypurhat Khagrachhari Khulna"
        " Kishoreganj Kurigram Kushtia Lakshmipur Lalmonirhat Madaripur Magura Manikganj Meherpur Moulvibazar"
        " Munshiganj Mymensingh Naogaon Narail Narayanganj Narsingdi Natore Netrokona Nilphamari Noakhali"
        " Pabna Panchagarh Patuakhali Pirojpur Rajbari Rajshahi Rangamati Rangpur Satkhira Shariatpur Sherpur"
        " Sirajganj Sunamganj Sylhet Tangail Thakurgaon Coxsbazar"
    ).lower()
)
"""The 64 districts, older spellings too; Latin ones in small letters."""

PLACES = (
    DISTRICTS
    | words(
        plain(
            "ধানমন্ডি ধানমণ্ডি মিরপুর উত্তরা গুলশান বনানী মোহাম্মদপুর বাড্ডা রামপুরা খিলগাঁও মালিবাগ মগবাজার"
            " মতিঝিল পল্টন যাত্রাবাড়ী যাত্রাবাড়ি বসুন্ধরা বারিধারা নিকেতন তেজগাঁও ফার্মগেট শ্যামলী আদাবর"
            " কল্যাণপুর গাবতলী লালবাগ চকবাজার সূত্রাপুর ওয়ারী গেন্ডারিয়া ডেমরা কদমতলী শ্যামপুর হাজারীবাগ"
            " কামরাঙ্গীরচর রমনা শাহবাগ নিউমার্কেট কাফরুল পল্লবী ভাষানটেক খিলক্ষেত দক্ষিণখান ভাটারা শাহজাহানপুর"
            " সবুজবাগ মুগদা বাসাবো আজিমপুর কলাবাগান লালমাটিয়া কাঁঠালবাগান বাংলামোটর ইস্কাটন সিদ্ধেশ্বরী"
            " শান্তিনগর কাকরাইল সেগুনবাগিচা মহাখালী কারওয়ানবাজার সাভার আশুলিয়া ধামরাই কেরানীগঞ্জ টঙ্গী"
            " জয়দেবপুর কালিয়াকৈর শ্রীপুর কাপাসিয়া রূপগঞ্জ সোনারগাঁও আড়াইহাজার ফতুল্লা সিদ্ধিরগঞ্জ পাহাড়তলী"
            " পাঁচলাইশ হালিশহর আগ্রাবাদ ডবলমুরিং কোতোয়ালী কোতোয়ালি বায়েজিদ খুলশী চান্দগাঁও পতেঙ্গা হাটহাজারী"
            " রাউজান রাঙ্গুনিয়া পটিয়া সীতাকুণ্ড মীরসরাই মিরসরাই ফটিকছড়ি বাঁশখালী সাতকানিয়া লোহাগাড়া চন্দনাইশ"
            " বোয়ালখালী সন্দ্বীপ লাকসাম দাউদকান্দি চান্দিনা বরুড়া দেবিদ্বার মুরাদনগর হোমনা চৌদ্দগ্রাম বুড়িচং"
            " নাঙ্গলকোট মনোহরগঞ্জ বেগমগঞ্জ চাটখিল সেনবাগ সোনাইমুড়ী হাতিয়া কোম্পানীগঞ্জ রায়পুর রামগঞ্জ রামগতি"
            " ফরিদগঞ্জ শাহরাস্তি কচুয়া হাজীগঞ্জ আশুগঞ্জ নবীনগর কসবা আখাউড়া বাঞ্ছারামপুর সরাইল নাসিরনগর"
            " বোয়ালিয়া মতিহার পুঠিয়া চারঘাট গোদাগাড়ী তানোর বাগমারা সিংড়া ঈশ্বরদী সাঁথিয়া শাহজাদপুর"
            " উল্লাপাড়া বেলকুচি শিবগঞ্জ শাজাহানপুর গাবতলি শেরপুর দুপচাঁচিয়া আদমদীঘি সান্তাহার পীরগঞ্জ মিঠাপুকুর"
            " বদরগঞ্জ সৈয়দপুর ডোমার বিরামপুর ফুলবাড়ী পার্বতীপুর উলিপুর নাগেশ্বরী গোবিন্দগঞ্জ সুন্দরগঞ্জ"
            " পলাশবাড়ী ডুমুরিয়া ফুলতলা দৌলতপুর খালিশপুর সোনাডাঙ্গা অভয়নগর কেশবপুর মণিরামপুর শার্শা বেনাপোল"
            " কালিগঞ্জ শ্যামনগর মোংলা ভেড়ামারা কুমারখালী আলমডাঙ্গা শৈলকুপা বাকেরগঞ্জ বাবুগঞ্জ উজিরপুর গৌরনদী"
            " মেহেন্দিগঞ্জ হিজলা মুলাদী কলাপাড়া কুয়াকাটা গলাচিপা লালমোহন চরফ্যাশন মঠবাড়িয়া নলছিটি শাহপরান"
            " বিয়ানীবাজার গোলাপগঞ্জ জৈন্তাপুর ওসমানীনগর ফেঞ্চুগঞ্জ ছাতক শ্রীমঙ্গল কুলাউড়া কমলগঞ্জ মাধবপুর"
            " চুনারুঘাট নবীগঞ্জ ত্রিশাল ভালুকা গফরগাঁও মুক্তাগাছা ঈশ্বরগঞ্জ নান্দাইল ভৈরব বাজিতপুর কটিয়াদী"
            " করিমগঞ্জ মেলান্দহ ইসলামপুর সরিষাবাড়ী মাদারগঞ্জ ঝিনাইগাতী মধুপুর ঘাটাইল মির্জাপুর ভুঞাপুর গোপালপুর"
            " সখিপুর শিবচর রাজৈর বোয়ালমারী নড়িয়া জাজিরা টেকনাফ উখিয়া চকরিয়া মহেশখালী কুতুবদিয়া জিন্দাবাজার"
            " আম্বরখানা উপশহর"
        )
    )
    | words(
        (
            "Dhanmondi Mirpur Uttara Gulshan Banani Mohammadpur Badda Rampura Khilgaon Malibagh Moghbazar"
            " Motijheel Paltan Jatrabari Bashundhara Baridhara Niketan Tejgaon Farmgate Shyamoli Adabor"
            " Kallyanpur Gabtoli Lalbagh Chawkbazar Sutrapur Gendaria Demra Hazaribagh Kamrangirchar Ramna"
            " Shahbagh Kafrul Pallabi Khilkhet Dakshinkhan Vatara Sabujbagh Mugda Basabo Azimpur Kalabagan"
            " Lalmatia Eskaton Shantinagar Kakrail Segunbagicha Mohakhali Savar Ashulia Dhamrai Keraniganj Tongi"
            " Joydebpur Kaliakair Sreepur Rupganj Sonargaon Fatullah Siddhirganj Pahartali Panchlaish Halishahar"
            " Agrabad Kotwali Khulshi Chandgaon Patenga Hathazari Raozan Patiya Sitakunda Mirsarai Fatikchhari"
            " Laksam Daudkandi Chandina Debidwar Muradnagar Begumganj Chatkhil Senbagh Hajiganj Ashuganj"
            " Nabinagar Akhaura Boalia Puthia Bagmara Ishwardi Shahjadpur Ullapara Shibganj Pirganj Mithapukur"
            " Saidpur Parbatipur Dumuria Khalishpur Sonadanga Abhaynagar Benapole Mongla Kumarkhali Bakerganj"
            " Gournadi Kuakata Zindabazar Ambarkhana Beanibazar Golapganj Sreemangal Kulaura Madhabpur Nabiganj"
            " Trishal Bhaluka Gafargaon Muktagachha Bhairab Bajitpur Madhupur Ghatail Mirzapur Teknaf Ukhia"
            " Chakaria"
        ).lower()
    )
)
"""The same and larger thanas and quarters, but for those that are everyday words."""
